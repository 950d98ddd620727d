package learner

import (
	"slices"
	"time"

	"singularity/centralcloud"
)

// Learn makes the policy for a moment. It is a pure function of the rows in the
// ledger, the prices, the configuration and the time, and leaves the version of
// the policy to who publishes it. The configuration must be valid, see
// [Config.Validate]. Calls of Learn on one ledger must not overlap.
func Learn(ledger *Ledger, prices Prices, config Config, now time.Time) *centralcloud.Policy {
	policy, _ := learn(ledger, prices, config, now)
	return policy
}

// learn returns the policy, and the success that a nano-dollar is worth to it.
func learn(ledger *Ledger, prices Prices, config Config, now time.Time) (policy *centralcloud.Policy, worth float64) {
	config = config.withDefaults()
	p := ledger.picture(prices, config, now.Unix())
	policy = &centralcloud.Policy{
		MadeAt:    time.Unix(p.now, 0).UTC(),
		StateHash: p.hash(), ConfigHash: config.hash(),
		Mode: config.Mode, Reference: config.Reference, Delta: config.Delta, CostWeight: config.CostWeight,
		DriftEvents: p.driftEvents(prices), Quarantined: p.suspects,
	}
	rows := p.rows(p.estimate(), p.consumptions(), prices)
	if config.Mode == centralcloud.Budget {
		policy.Budget = p.account(ledger, rows)
		for _, r := range rows {
			r.contest.weight *= policy.Budget.W / config.CostWeight
		}
	}
	for _, r := range rows {
		policy.Rows = append(policy.Rows, p.publish(r))
	}
	return policy, rows[0].contest.weight
}

// row is a row of the policy in the making.
type row struct {
	task    int // -1 for any
	bucket  int // or [centralcloud.AnyBucket]
	rules   Rules
	judged  coverage
	contest contest
}

// rows lists what the policy has a row for: tasks of any kind, each task, and
// its buckets where they make a difference.
func (p *picture) rows(e estimates, c consumptions, prices Prices) []*row {
	reference := slices.IndexFunc(p.arms, func(arm Price) bool { return arm.Arm == p.config.Reference })
	weight := p.config.CostWeight / p.referenceCost(c, reference, prices.first(p.config.Reference))
	draws := make([]*draws, len(p.arms))
	for a, arm := range p.arms {
		draws[a] = drawsOf(arm.Arm)
	}
	all, byTask := p.coverages()
	build := func(task, bucket int, judged coverage, candidates []candidate) *row {
		r := &row{task: task, bucket: bucket, judged: judged, rules: p.config.rules(p.taskName(task)), contest: contest{
			candidates: candidates, draws: draws, reference: reference,
			mode: p.config.Mode, temper: p.config.Temper, delta: p.config.Delta, weight: weight,
		}}
		p.bar(candidates, r.rules, reference)
		return r
	}

	rows := []*row{build(-1, centralcloud.AnyBucket, all, p.anyCandidates(e, c))}
	for t := range p.tasks {
		rows = append(rows, build(t, centralcloud.AnyBucket, byTask[t], p.candidates(e.byTask, 1, t, 0, c)))
		for k := 0; e.graded && k < buckets; k++ {
			rows = append(rows, build(t, k, byTask[t], p.candidates(e.byBucket, buckets, t, k, c)))
		}
	}
	return rows
}

func (p *picture) taskName(task int) string {
	if task < 0 {
		return centralcloud.AnyTask
	}
	return p.tasks[task]
}

// candidates are the arms at a task; beliefs has so many parts of each task.
func (p *picture) candidates(beliefs []belief, parts, task, part int, c consumptions) []candidate {
	candidates := make([]candidate, len(p.arms))
	for a, price := range p.arms {
		i := p.at(a, task)
		candidates[a] = candidate{
			arm: a, belief: beliefs[i*parts+part], tokens: c.byTask[i], cost: c.byTask[i].cost(price),
			evidence: p.byTask[i], health: p.health[a],
		}
		if k := p.kinds[i]; k != nil {
			candidates[a].latency, candidates[a].givenUp = k.latency.lately(p.now), k.givenUp.lately(p.now)
		}
		if parts > 1 {
			candidates[a].evidence = p.byBucket[i*parts+part]
		}
	}
	return candidates
}

// anyCandidates are the arms at a task of which nothing is known.
func (p *picture) anyCandidates(e estimates, c consumptions) []candidate {
	candidates := make([]candidate, len(p.arms))
	for a, price := range p.arms {
		candidates[a] = candidate{arm: a, belief: e.unknown[a], tokens: c.unknown[a], cost: c.unknown[a].cost(price), health: p.health[a]}
		for t := range p.tasks {
			candidates[a].evidence.merge(p.byTask[p.at(a, t)])
		}
	}
	return candidates
}

// referenceCost is what a call of the reference costs, over the calls as they
// come in, at its first price: when the reference gets dearer, a dollar is worth
// what it was.
func (p *picture) referenceCost(c consumptions, reference int, price Price) float64 {
	var sum, calls float64
	for t, n := range c.calls {
		sum += float64(n * c.byTask[p.at(reference, t)].cost(price))
		calls += n
	}
	if calls == 0 {
		return max(1, c.unknown[reference].cost(price))
	}
	return max(1, sum/calls)
}

// coverage is how many of the answers at a task were judged, and how many of these
// by a score.
type coverage struct{ judged, answered, scored float64 }

// coverages returns the coverage of all tasks together, and of each.
func (p *picture) coverages() (all coverage, byTask []coverage) {
	byTask = make([]coverage, len(p.tasks))
	for a := range p.arms {
		for t := range p.tasks {
			e := &p.byTask[p.at(a, t)]
			byTask[t].judged += min(e.calls, e.judged)
			byTask[t].answered += e.calls
			byTask[t].scored += p.scoredPart(t, e)
		}
	}
	for _, c := range byTask {
		all.judged += c.judged
		all.answered += c.answered
		all.scored += c.scored
	}
	return all, byTask
}

func (c coverage) share() float64 {
	if c.answered == 0 {
		return 0
	}
	return c.judged / c.answered
}

// scoredShare is how many of those that were judged somebody scored.
func (c coverage) scoredShare() float64 {
	if c.judged == 0 {
		return 0
	}
	return min(1, c.scored/c.judged)
}

// blind reports that there are answers, but nobody says how good they are.
func (c coverage) blind() bool { return c.answered > 0 && c.judged == 0 }
