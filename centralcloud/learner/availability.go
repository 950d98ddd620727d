package learner

import "singularity/centralcloud"

const (
	// Availability looks at the last minutes only, with a short half-life.
	healthWindow   = 120
	healthHalfLife = 30
	// outageWindow is how long an arm that only failed is believed to be down.
	outageWindow = 30 * 60
	// probe is the share of calls that find out whether an arm is back.
	probe = 0.01
)

// health is whether an arm answers at all.
type health struct {
	availability float64
	down         bool
}

// examine judges the availability of each arm, over all tasks: an outage is a
// matter of its provider.
func (p *picture) examine() {
	p.health = make([]health, len(p.arms))
	from := centralcloud.EpochOf(p.now - outageWindow)
	for a := range p.arms {
		p.health[a] = p.healthOf(a, from)
	}
}

func (p *picture) healthOf(arm int, from int64) health {
	type tally struct{ answered, failed int64 }
	tallies := make([]tally, (centralcloud.EpochOf(p.now+skew)-from)/centralcloud.EpochSeconds+1)
	for _, c := range p.cells(arm) {
		spans := c.epochs.between(from, p.now+skew)
		for i := range spans {
			s := &spans[i]
			sum := &tallies[(s.start-from)/centralcloud.EpochSeconds]
			sum.answered += s.calls
			sum.failed += s.failed
		}
	}

	var down bool
	// A few answers are taken for granted, so that one failure is no outage.
	answered, failed := 3.0, 0.0
	for i, t := range tallies {
		switch {
		case t.failed >= 3 && t.failed > t.answered:
			down = true
		case t.answered > t.failed:
			down = false
		}
		age := max(0, p.now-(from+int64(i)*centralcloud.EpochSeconds+centralcloud.EpochSeconds/2))
		if age <= healthWindow {
			weight := exp2(-float64(age) / healthHalfLife)
			answered += float64(float64(t.answered) * weight)
			failed += float64(float64(t.failed) * weight)
		}
	}
	availability := answered / (answered + failed)
	return health{availability: availability, down: down || availability < 0.5}
}
