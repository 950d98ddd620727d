package learner

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"singularity/centralcloud"
)

// publish decides a row, and says why.
func (p *picture) publish(r *row) centralcloud.PolicyRow {
	c := &r.contest
	unjudged := r.judged.blind()
	shares := only(c.reference, len(c.candidates))
	if !unjudged {
		shares = c.shares()
	}
	weights := c.weights(shares, p.config, r.rules.Critical || unjudged)
	bests := c.bests()

	result := centralcloud.PolicyRow{TaskType: p.taskName(r.task), Bucket: r.bucket, Judged: rounded(r.judged.share(), 3), Scored: rounded(r.judged.scoredShare(), 3)}
	var cost, success float64
	for i := range c.candidates {
		candidate := &c.candidates[i]
		result.N += candidate.evidence.judged
		cost += float64(weights[i] * candidate.cost)
		success += float64(weights[i] * candidate.belief.success())
		arm := p.describe(candidate, &c.candidates[c.reference])
		arm.TimeoutMillis = candidate.timeout(r.rules).Milliseconds()
		arm.Weight = rounded(weights[i], 6)
		arm.Best = rounded(bests[i], 3)
		arm.Why = c.why(i, shares[i], weights[i], unjudged)
		result.Arms = append(result.Arms, arm)
	}
	slices.SortStableFunc(result.Arms, func(a, b centralcloud.PolicyArm) int { return cmp.Compare(b.Weight, a.Weight) })
	result.N = rounded(result.N, 1)
	result.Fallback = p.fallback(c, weights)
	reference := &c.candidates[c.reference]
	result.Expected = centralcloud.Expected{
		CostVsReference:    rounded(cost/max(1e-9, reference.cost)-1, 3),
		SuccessVsReference: rounded(success-reference.belief.success(), 3),
	}
	return result
}

func (p *picture) describe(c, reference *candidate) centralcloud.PolicyArm {
	interval := c.belief.interval()
	success, sd := onShares(c.belief)
	other, otherSD := onShares(reference.belief)
	return centralcloud.PolicyArm{
		Arm:     p.arms[c.arm].Arm,
		Success: rounded(success, 3), CI95: [2]float64{rounded(interval[0], 3), rounded(interval[1], 3)},
		CostCents: rounded(c.cost/1e7, 6), TokensOut: rounded(c.tokens.out, 1),
		P50Millis: c.latency.Quantile(0.5) / 1000, P95Millis: c.latency.Quantile(0.95) / 1000,
		N:            c.evidence.raw,
		NonInferior:  rounded(normalShare((success-other+p.config.Delta)/math.Sqrt(square(sd)+square(otherSD))), 3),
		Availability: rounded(c.health.availability, 3),
		Barred:       !c.usable(),
	}
}

// timeout is how long a call of the candidate may take, 0 when there is not enough
// to say: as long as all but the last would need, but not longer than is aimed at.
func (c *candidate) timeout(rules Rules) time.Duration {
	fit := centralcloud.FitTimeout(c.latency, c.givenUp)
	if target := rules.Latency.Limit; target > 0 && fit > target {
		return target
	}
	return fit
}

// onShares is the mean and the deviation of the success itself.
func onShares(b belief) (mean, sd float64) {
	mean = b.success()
	return mean, float64(mean * (1 - mean) * b.sd)
}

// why says what led to the weight of a candidate.
func (c *contest) why(i int, share, weight float64, unjudged bool) string {
	candidate := &c.candidates[i]
	switch {
	case unjudged && weight > 0:
		return "the reference: no answer at this task was judged, so nothing is learned"
	case unjudged:
		return "no answer at this task was judged"
	case candidate.barred != "" && weight > 0:
		return candidate.barred + "; no arm qualifies, so it is the last resort"
	case candidate.barred != "":
		return candidate.barred
	case candidate.health.down:
		return fmt.Sprintf("down: it fails to answer; %.0f %% of the calls find out when it is back", 100*weight)
	case share < leastShare:
		return fmt.Sprintf("right in %.1f %% of draws; what it gets is to notice when it gets better", 100*share)
	case c.mode == centralcloud.Reference:
		return fmt.Sprintf("cheapest within %g of the reference in %.0f %% of draws", c.delta, 100*share)
	default:
		return fmt.Sprintf("most success for its cost in %.0f %% of draws", 100*share)
	}
}

// fallback is whom to ask when the chosen arm fails: those that win calls, then
// the others by what they are worth. Guardrails hold for it, too.
func (p *picture) fallback(c *contest, weights []float64) []centralcloud.Arm {
	order := make([]int, 0, len(c.candidates))
	for i := range c.candidates {
		if c.candidates[i].usable() {
			order = append(order, i)
		}
	}
	worth := make([]float64, len(c.candidates))
	for i := range c.candidates {
		worth[i] = c.value(i, c.candidates[i].belief.success())
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(
			cmp.Compare(max(leastShare, weights[b]), max(leastShare, weights[a])),
			cmp.Compare(worth[b], worth[a]))
	})
	arms := make([]centralcloud.Arm, len(order))
	for i, candidate := range order {
		arms[i] = p.arms[c.candidates[candidate].arm].Arm
	}
	return arms
}
