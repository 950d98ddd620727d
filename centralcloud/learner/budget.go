package learner

import (
	"math"

	"singularity/centralcloud"
)

const (
	// rateWindow is how far back the calls of an hour are estimated from.
	rateWindow = 600
	// heaviest bounds the weight of money, as a multiple of the ordinary one.
	heaviest = 10_000
)

// account says what was spent, and which weight of money holds the target.
//
// The weight is solved for and not approached step by step: it is the least
// with which the calls of an hour, each given to the arm of most value, would
// cost what is left of the target. So it depends on the counters alone, and not
// on the weights of earlier policies.
func (p *picture) account(l *Ledger, rows []*row) *centralcloud.BudgetAccount {
	target := float64(p.config.HourlyBudget)
	spans := l.spending.between(p.now-hour, p.now+skew)
	spent := float64(total(spans).cost)
	allowed := target
	if len(spans) > 0 {
		elapsed := min(1, float64(p.now-spans[0].start)/hour)
		allowed += float64(target*elapsed) - spent
	}
	allowed = max(target/10, min(2*target, allowed))

	perHour := p.hourlyCalls()
	low, high := 1.0, float64(heaviest)
	if p.spending(rows, perHour, low) <= allowed {
		high = low
	}
	for range 24 {
		middle := math.Sqrt(low * high)
		if p.spending(rows, perHour, middle) <= allowed {
			high = middle
		} else {
			low = middle
		}
	}
	return &centralcloud.BudgetAccount{
		TargetCents: rounded(target/1e7, 4), SpentCents: rounded(spent/1e7, 4),
		LeaseCents: rounded(target/1e7*centralcloud.EpochSeconds/hour/float64(max(1, p.activeInstances(l))), 6),
		W:          rounded(high*p.config.CostWeight, 6),
	}
}

// hourlyCalls estimates the calls of an hour, by task.
func (p *picture) hourlyCalls() []float64 {
	calls := make([]float64, len(p.tasks))
	for a := range p.arms {
		for t, c := range p.cells(a) {
			calls[t] += float64(total(c.epochs.between(p.now-rateWindow, p.now+skew)).calls) * hour / rateWindow
		}
	}
	return calls
}

// spending is what the calls would cost with so many times the ordinary weight
// of money.
func (p *picture) spending(rows []*row, perHour []float64, times float64) float64 {
	var sum float64
	for _, r := range rows {
		if r.task < 0 || r.bucket != centralcloud.AnyBucket || perHour[r.task] == 0 {
			continue
		}
		best, winner := 0.0, r.contest.reference
		first := true
		for i := range r.contest.candidates {
			c := &r.contest.candidates[i]
			if !c.usable() {
				continue
			}
			value := c.belief.success() - float64(times*r.contest.weight*c.cost)
			if first || value > best {
				best, winner, first = value, i, false
			}
		}
		sum += float64(perHour[r.task] * r.contest.candidates[winner].cost)
	}
	return sum
}

func (p *picture) activeInstances(l *Ledger) int {
	active := map[*instance]bool{}
	for _, k := range l.kinds {
		for _, t := range k.tallies {
			if len(t.series.between(p.now-rateWindow, p.now+skew)) > 0 {
				active[t.instance] = true
			}
		}
	}
	return len(active)
}
