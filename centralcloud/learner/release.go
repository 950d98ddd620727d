package learner

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"singularity/centralcloud"
)

const (
	// checkedFor is how old the calls are that a row is checked by.
	checkedFor = hour
	// checkedSize is how many of them were judged, at least.
	checkedSize = 200
	// checkedSure is the bound, one-sided, in standard deviations: 99.9 %.
	checkedSure = 3.1
	// covered is which share of a row's weight its arms have that were judged.
	covered = 0.95
	// repricedFor is for how long a new price is reason enough to choose otherwise.
	repricedFor = 900
)

// check holds the rows of a policy against the calls that were made by earlier ones,
// before nodes go by it. The estimates that a policy rests on share between tasks and
// arms; this one shares nothing, and so notices where that leads astray.
//
// What a row is worth is estimated by self-normalised inverse propensities
// (Swaminathan and Joachims, The Self-Normalized Estimator for Counterfactual
// Learning, 2015): each judged call counts by how much more likely the row chooses
// its arm than the policy did that chose it,
//
//	V(row) = sum row(a) u r / sum row(a) u,  u = 1 / propensity.
//
// Counters have no pairs of u and r. They have, for each epoch, bucket and arm, the
// sum of u, and the sum and the squares of r. All calls of one arm in one epoch were
// chosen by one policy, but for those around a new version, so u is taken to be the
// same for all of them. Answers of an arm that stood in for another are among the r of
// its epoch, though nobody drew it; they have no u.
//
// The variance is that of the difference between two such quotients of sums over the
// same calls, by the delta method.
type check struct {
	ledger *Ledger
	now    int64
	mode   centralcloud.Mode
	delta  float64
	worth  float64 // success that a nano-dollar is worth
	since  map[centralcloud.Arm]int64
	priced map[centralcloud.Arm]bool // by a new price
}

func newCheck(l *Ledger, next *centralcloud.Policy, worth float64) *check {
	c := &check{
		ledger: l, now: next.MadeAt.Unix(), mode: next.Mode, delta: next.Delta, worth: worth,
		since: map[centralcloud.Arm]int64{}, priced: map[centralcloud.Arm]bool{},
	}
	for _, event := range next.DriftEvents {
		at := event.At.Unix()
		switch event.Kind {
		case centralcloud.QualityDrift:
			c.since[event.Arm] = max(c.since[event.Arm], at)
		case centralcloud.PriceDrift:
			c.priced[event.Arm] = c.priced[event.Arm] || at > c.now-repricedFor
		}
	}
	return c
}

// hold keeps a row at the weights that it had when it would clearly be worse by the
// logged calls, and says so. It does not when an arm went down, came back, was barred
// or repriced: that is no matter of how good its answers were.
func (c *check) hold(row *centralcloud.PolicyRow, before *centralcloud.PolicyRow) {
	if row.TaskType == centralcloud.AnyTask || row.Judged == 0 {
		return
	}
	earlier := make(map[centralcloud.Arm]centralcloud.PolicyArm, len(before.Arms))
	for _, arm := range before.Arms {
		earlier[arm.Arm] = arm
	}
	for _, arm := range row.Arms {
		was, there := earlier[arm.Arm]
		if !there || was.Barred != arm.Barred || c.priced[arm.Arm] {
			return
		}
	}
	found, enough := c.compare(row, earlier)
	most := c.mayLose(row, earlier)
	bound := found.change + float64(checkedSure*math.Sqrt(found.variance))
	if !enough || bound >= -most {
		return
	}
	row.Held = fmt.Sprintf("by %d logged calls its success would change by %+.3f, and surely by no more than %+.3f; %.3f may be given away",
		found.judged, found.change, bound, most)
	for i := range row.Arms {
		was := earlier[row.Arms[i].Arm]
		row.Arms[i].Weight, row.Arms[i].Why = was.Weight, was.Why
	}
	slices.SortStableFunc(row.Arms, func(a, b centralcloud.PolicyArm) int { return cmp.Compare(b.Weight, a.Weight) })
}

// mayLose is how much success a row may give away: what the operator allows, or what
// the money is worth that it saves.
func (c *check) mayLose(row *centralcloud.PolicyRow, earlier map[centralcloud.Arm]centralcloud.PolicyArm) float64 {
	if c.mode == centralcloud.Reference {
		return c.delta
	}
	var saved float64 // nano-dollars a call
	for _, arm := range row.Arms {
		saved += float64((earlier[arm.Arm].Weight - arm.Weight) * arm.CostCents * 1e7)
	}
	return max(0, c.worth*saved)
}

// logged is what there is of an arm in one epoch and bucket.
type logged struct {
	next, before float64 // the weights of the arm
	judged       float64
	weight       float64 // of all its calls: the sum of u
	mean         float64 // of r
	square       float64 // the mean of its square
}

// difference is what a row changes.
type difference struct {
	change, variance float64
	judged           int64
}

// compare estimates by how much the success of a row differs from what it was, and
// reports whether there are enough calls to say.
func (c *check) compare(row *centralcloud.PolicyRow, earlier map[centralcloud.Arm]centralcloud.PolicyArm) (found difference, enough bool) {
	calls, support := c.log(row, earlier)
	var next, before quotient
	var judged float64
	for _, l := range calls {
		next.add(float64(l.next*l.weight), l.mean)
		before.add(float64(l.before*l.weight), l.mean)
		judged += l.judged
	}
	if judged < checkedSize || support < covered || next.weight == 0 || before.weight == 0 {
		return difference{}, false
	}
	found = difference{change: next.value() - before.value(), judged: int64(judged)}
	for _, l := range calls {
		// A call changes the difference by a (r - V(next)) - b (r - V(before)).
		a, b := float64(l.weight/l.judged*l.next)/next.weight, float64(l.weight/l.judged*l.before)/before.weight
		slope, offset := a-b, float64(a*next.value())-float64(b*before.value())
		squares := float64(slope*slope*l.square) - float64(2*slope*offset*l.mean) + float64(offset*offset)
		found.variance += float64(l.judged * max(0, squares))
	}
	return found, true
}

// quotient is a weighted mean in the making.
type quotient struct{ weight, sum float64 }

func (q *quotient) add(weight, value float64) {
	q.weight += weight
	q.sum += float64(weight * value)
}

func (q *quotient) value() float64 { return q.sum / q.weight }

// log returns what was logged of the arms of a row, since the last of them changed,
// and which share of the row's weight is on arms that were judged.
func (c *check) log(row *centralcloud.PolicyRow, earlier map[centralcloud.Arm]centralcloud.PolicyArm) (calls []logged, support float64) {
	from := c.now - checkedFor
	for _, arm := range row.Arms {
		from = max(from, c.since[arm.Arm])
	}
	onScores := c.onScores(row)
	for _, arm := range row.Arms {
		k := c.ledger.kinds[kindKey{arm.Arm, row.TaskType}]
		if k == nil {
			continue
		}
		before, judged := len(calls), logged{next: arm.Weight, before: earlier[arm.Arm].Weight}
		for b := range k.cells {
			if row.Bucket != centralcloud.AnyBucket && row.Bucket != b {
				continue
			}
			for _, s := range k.cells[b].epochs.between(from, c.now+skew) {
				if judged.of(&s, onScores) {
					calls = append(calls, judged)
				}
			}
		}
		if len(calls) > before {
			support += arm.Weight
		}
	}
	return calls, support
}

// onScores reports whether the quality of the row's arms rests on scores alone.
func (c *check) onScores(row *centralcloud.PolicyRow) bool {
	var n int64
	for _, arm := range row.Arms {
		if k := c.ledger.kinds[kindKey{arm.Arm, row.TaskType}]; k != nil {
			n += k.scored(c.now)
		}
	}
	return n >= leastScored
}

// of reads a span, and reports whether there is something in it. Of the sum of u it
// takes the share of those calls that were judged.
func (l *logged) of(s *span, onScores bool) bool {
	judged := s.judgements(onScores)
	if judged.n <= 0 || s.inverse <= 0 {
		return false
	}
	l.judged = float64(judged.n)
	l.weight = float64(s.inverse) / 1e6 * min(1, l.judged/float64(max(1, s.calls+s.failed)))
	l.mean, l.square = float64(judged.quality)/1e6/l.judged, float64(judged.squares)/1e6/l.judged
	return true
}
