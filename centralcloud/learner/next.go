package learner

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
)

// Next makes the policy that follows another one, which may be nil: what
// [Learn] finds, approached by steps of at most MaxMove, under the next version, but
// for rows that would be worse by the calls that were made, see [check]. It is a pure
// function too, and the earlier policy is all that it remembers.
func Next(ledger *Ledger, prices Prices, config Config, previous *centralcloud.Policy, now time.Time) *centralcloud.Policy {
	next, worth := learn(ledger, prices, config, now)
	next.Version = 1
	if previous == nil {
		return next
	}
	next.Version = previous.Version + 1
	most, check := config.withDefaults().MaxMove, newCheck(ledger, next, worth)
	for i := range next.Rows {
		row := &next.Rows[i]
		at := slices.IndexFunc(previous.Rows, func(r centralcloud.PolicyRow) bool { return r.Cell() == row.Cell() })
		if at >= 0 {
			approach(row, previous.Rows[at], most)
			if next.ConfigHash == previous.ConfigHash { // else it is what operators want
				check.hold(row, &previous.Rows[at])
			}
		}
	}
	return next
}

// approach moves a row from its earlier weights towards what it has, by so much
// in all. Arms that are barred lose their weight at once.
func approach(row *centralcloud.PolicyRow, previous centralcloud.PolicyRow, most float64) {
	start, free := make([]float64, len(row.Arms)), 1.0
	for i, arm := range row.Arms {
		if arm.Barred {
			free -= arm.Weight
			continue
		}
		at := slices.IndexFunc(previous.Arms, func(a centralcloud.PolicyArm) bool { return a.Arm == arm.Arm })
		if at >= 0 {
			start[i] = previous.Arms[at].Weight
		}
	}
	if !normalise(start) {
		return
	}
	var move float64
	for i := range row.Arms {
		if arm := &row.Arms[i]; arm.Barred {
			start[i] = arm.Weight
		} else {
			start[i] = float64(start[i] * free)
			move += max(0, arm.Weight-start[i])
		}
	}
	if move <= most {
		return
	}
	for i := range row.Arms {
		arm := &row.Arms[i]
		target := arm.Weight
		arm.Weight = rounded(start[i]+float64((target-start[i])*most/move), 6)
		if !arm.Barred {
			arm.Why += fmt.Sprintf("; on its way to a weight of %.2f", target)
		}
	}
	slices.SortStableFunc(row.Arms, func(a, b centralcloud.PolicyArm) int { return cmp.Compare(b.Weight, a.Weight) })
}
