package learner

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"singularity/centralcloud"
)

const (
	// An instance is left out when its calls fare unlike those of the others, by
	// so many standard deviations over the last half hour.
	strange       = 5
	comparedFor   = 1800
	leastCompared = 50
)

// quarantine finds the instances whose rows cannot be trusted, the strangest
// first, each held against those that are left, and takes them out of the
// cells. There must be others to tell who is the strange one, so at most a third
// of all are left out.
func (l *Ledger) quarantine(now int64) []centralcloud.Quarantine {
	var suspects []centralcloud.Quarantine
	var excluded []*instance
	reports := l.reports(now)
	for most := len(l.instances) / 3; len(excluded) < most; {
		worst, suspect := strangest(reports)
		if worst == nil {
			break
		}
		excluded = append(excluded, worst)
		suspects = append(suspects, suspect)
		for i, report := range reports {
			reports[i] = slices.DeleteFunc(report, func(r judgement) bool { return r.instance == worst })
		}
	}
	l.exclude(excluded)
	return suspects
}

// judgement is what an instance reported of a kind lately, in millionths.
type judgement struct {
	instance        *instance
	n, sum, squares int64
}

// reports lists the judgements of each kind. Kinds are in order, so that what is
// summed over them is the same each time.
func (l *Ledger) reports(now int64) [][]judgement {
	var reports [][]judgement
	if len(l.instances) < 3 {
		return nil
	}
	for _, arm := range slices.SortedFunc(maps.Keys(l.arms), centralcloud.Arm.Compare) {
		for _, k := range l.arms[arm] {
			var report []judgement
			for i := range k.tallies {
				spans := k.tallies[i].series.between(now-comparedFor, now+skew)
				r := judgement{instance: k.tallies[i].instance}
				for j := range spans {
					r.n += spans[j].judged
					r.sum += spans[j].quality
					r.squares += spans[j].squares
				}
				if r.n > 0 {
					report = append(report, r)
				}
			}
			if len(report) > 1 {
				reports = append(reports, report)
			}
		}
	}
	return reports
}

// comparison sums up how an instance differs from all others.
type comparison struct{ surprise, variance, expected, n, sum float64 }

func (c *comparison) evidence() float64 {
	if c.n < leastCompared || c.variance <= 0 {
		return 0
	}
	return c.surprise / math.Sqrt(c.variance)
}

// strangest is the instance that differs most, if any does too much.
func strangest(reports [][]judgement) (*instance, centralcloud.Quarantine) {
	comparisons := map[*instance]*comparison{}
	for _, report := range reports {
		var all judgement
		for _, r := range report {
			all.n, all.sum, all.squares = all.n+r.n, all.sum+r.sum, all.squares+r.squares
		}
		for _, r := range report {
			if comparisons[r.instance] == nil {
				comparisons[r.instance] = &comparison{}
			}
			comparisons[r.instance].add(r, all)
		}
	}
	var worst *instance
	var most float64
	for _, from := range slices.SortedFunc(maps.Keys(comparisons), func(a, b *instance) int { return cmp.Compare(a.name, b.name) }) {
		if evidence := math.Abs(comparisons[from].evidence()); evidence > max(most, strange) {
			worst, most = from, evidence
		}
	}
	if worst == nil {
		return nil, centralcloud.Quarantine{}
	}
	c := comparisons[worst]
	return worst, centralcloud.Quarantine{
		Instance: worst.name, Success: rounded(c.sum/c.n, 3), Expected: rounded(c.expected/c.n, 3),
		Evidence: rounded(c.evidence(), 2),
		Why:      "its calls fare unlike those of the other instances at the same tasks and arms",
	}
}

func (c *comparison) add(own, all judgement) {
	others := float64(all.n - own.n)
	if others < 1 {
		return
	}
	n, total := float64(own.n), float64(all.n)
	mean := float64(all.sum) / 1e6 / total
	spread := max(0, float64(all.squares)/1e6/total-square(mean))
	c.surprise += float64(own.sum)/1e6 - float64(n*mean)
	c.variance += float64(n*others*spread) / (total - 1)
	c.expected += float64(n*float64(all.sum-own.sum)) / 1e6 / others
	c.n += n
	c.sum += float64(own.sum) / 1e6
}
