package learner

import (
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
)

// candidate is an arm that may be chosen for a kind of task.
type candidate struct {
	arm      int
	belief   belief
	tokens   consumption
	cost     float64 // of a call, in nano-dollars
	evidence evidence
	latency  centralcloud.Sketch
	givenUp  centralcloud.Sketch
	health   health

	barred string // by which guardrail; empty when by none
}

// usable candidates may win calls.
func (c *candidate) usable() bool { return c.barred == "" && !c.health.down }

// bar holds the candidates against the rules of their task, in the order in
// which people would name the reasons.
func (p *picture) bar(candidates []candidate, rules Rules, reference int) {
	for i := range candidates {
		c := &candidates[i]
		arm := p.arms[c.arm].Arm
		c.barred = rules.bars(arm)
		if c.barred == "" {
			c.barred = rules.lacks(p.config.facts(arm))
		}
		if c.barred == "" {
			c.barred = rules.tooDear(c.cost)
		}
		if c.barred == "" && p.config.Mode == centralcloud.Reference && c.arm != reference && c.cost > candidates[reference].cost {
			c.barred = "dearer than " + p.arms[reference].Model
		}
		if c.barred == "" {
			c.barred = rules.tooBad(c)
		}
		if c.barred == "" {
			c.barred = rules.tooSlow(c.latency)
		}
	}
}

func (r Rules) bars(arm centralcloud.Arm) string {
	switch {
	case r.Pin != nil && *r.Pin != arm:
		return "pinned to " + r.Pin.String()
	case len(r.Allow) > 0 && !slices.Contains(r.Allow, arm):
		return "not among the allowed"
	case slices.Contains(r.Deny, arm):
		return "denied"
	default:
		return ""
	}
}

func (r Rules) lacks(facts ArmFacts) string {
	switch {
	case r.Context > facts.Context:
		return fmt.Sprintf("holds %d tokens of the %d that are needed", facts.Context, r.Context)
	case r.Tools && !facts.Tools:
		return "cannot use tools"
	case r.JSON && !facts.JSON:
		return "cannot answer in JSON"
	case r.Region != "" && r.Region != facts.Region:
		return fmt.Sprintf("runs in %q, not in %q", facts.Region, r.Region)
	default:
		return ""
	}
}

func (r Rules) tooDear(cost float64) string {
	if r.PriceCap == 0 || cost <= float64(r.PriceCap) {
		return ""
	}
	return fmt.Sprintf("price cap %s: a call costs %s", cents(float64(r.PriceCap)), cents(cost))
}

func (r Rules) tooBad(c *candidate) string {
	upper := c.belief.interval()[1]
	if r.SuccessFloor == 0 || upper >= r.SuccessFloor {
		return ""
	}
	return fmt.Sprintf("success floor %.2f: upper bound %.2f (n=%d)", r.SuccessFloor, upper, c.evidence.raw)
}

// latencySure is the interval in standard deviations: 95 %.
const latencySure = 1.96

func (r Rules) tooSlow(latency centralcloud.Sketch) string {
	n := latency.Count()
	if r.Latency.Limit == 0 || n == 0 {
		return ""
	}
	within := latency.Within(r.Latency.Limit.Microseconds())
	_, upper := centralcloud.Wilson(float64(within)/float64(n), float64(n), latencySure)
	if upper >= r.Latency.Share {
		return ""
	}
	return fmt.Sprintf("latency: at most %.0f %% of answers within %s, %.0f %% are asked for (n=%d)",
		100*upper, r.Latency.Limit.Round(time.Millisecond), 100*r.Latency.Share, n)
}

func cents(nanoDollars float64) string { return fmt.Sprintf("%.4g cents", nanoDollars/1e7) }
