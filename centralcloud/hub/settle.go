package hub

import (
	"math"
	"slices"

	"singularity/centralcloud"
)

const (
	// sameWeight is by how much weights may differ that are as good as equal.
	sameWeight = 0.01
	// sameMeasure is by which share costs and timeouts may differ that are.
	sameMeasure = 0.2
	// sameFront is how many of a fallback order are ever asked, but for rare calls.
	sameFront = 3
)

// settle gives each row of a policy by which nodes would do the same as before, but
// for some calls in a hundred, what it had in the policy before it: then nodes need
// not hear of it, and what they do is what is kept of that version. What is only
// estimated stays new. It reports whether that was so of all rows.
func settle(next, before *centralcloud.Policy) (all bool) {
	earlier := make(map[centralcloud.Cell]*centralcloud.PolicyRow, len(before.Rows))
	for i := range before.Rows {
		earlier[before.Rows[i].Cell()] = &before.Rows[i]
	}
	all = len(next.Rows) == len(before.Rows)
	for i := range next.Rows {
		row := &next.Rows[i]
		was := earlier[row.Cell()]
		if was == nil || !settleRow(row, was) {
			all = false
		}
	}
	return all
}

func settleRow(row, was *centralcloud.PolicyRow) bool {
	if len(row.Arms) != len(was.Arms) || !sameFallback(row.Fallback, was.Fallback) {
		return false
	}
	arms := make(map[centralcloud.Arm]*centralcloud.PolicyArm, len(row.Arms))
	for i := range row.Arms {
		arms[row.Arms[i].Arm] = &row.Arms[i]
	}
	settled := make([]centralcloud.PolicyArm, len(was.Arms))
	for i := range was.Arms {
		arm := arms[was.Arms[i].Arm]
		if arm == nil || !alike(arm, &was.Arms[i]) {
			return false
		}
		settled[i] = *arm
		settled[i].Weight, settled[i].Why = was.Arms[i].Weight, was.Arms[i].Why
		settled[i].CostCents, settled[i].TimeoutMillis = was.Arms[i].CostCents, was.Arms[i].TimeoutMillis
	}
	row.Arms, row.Fallback = settled, was.Fallback
	return true
}

// sameFallback reports whether two orders have the same arms, and the same where it
// matters: at the front.
func sameFallback(a, b []centralcloud.Arm) bool {
	if len(a) != len(b) {
		return false
	}
	front := min(len(a), sameFront)
	return slices.Equal(a[:front], b[:front]) &&
		slices.Equal(slices.SortedFunc(slices.Values(a), centralcloud.Arm.Compare), slices.SortedFunc(slices.Values(b), centralcloud.Arm.Compare))
}

// alike reports whether a node would do the same by two entries of an arm. One with
// some weight, however small, is not as one with none.
func alike(a, b *centralcloud.PolicyArm) bool {
	return math.Abs(a.Weight-b.Weight) <= sameWeight && (a.Weight == 0) == (b.Weight == 0) && a.Barred == b.Barred &&
		near(a.CostCents, b.CostCents) && near(float64(a.TimeoutMillis), float64(b.TimeoutMillis))
}

func near(a, b float64) bool { return math.Abs(a-b) <= sameMeasure*math.Max(math.Abs(a), math.Abs(b)) }
