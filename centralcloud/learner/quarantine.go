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
// ledger's cells. There must be others to tell who is the strange one, so at
// most a third of all are left out.
func (p *picture) quarantine(l *Ledger) {
	reports := map[string]map[cellKey]moments{}
	for name, from := range l.instances {
		reports[name] = map[cellKey]moments{}
		for key, tally := range from.tallies {
			var m moments
			for _, s := range tally.between(p.now-comparedFor, p.now+skew) {
				m.add(&s, 1)
			}
			if m.n > 0 {
				reports[name][key] = m
			}
		}
	}
	var names []string
	for most := len(reports) / 3; len(names) < most; {
		suspect := strangest(reports)
		if math.Abs(suspect.Evidence) <= strange {
			break
		}
		delete(reports, suspect.Instance)
		names = append(names, suspect.Instance)
		p.suspects = append(p.suspects, suspect)
	}
	l.exclude(names)
}

func strangest(reports map[string]map[cellKey]moments) (worst centralcloud.Quarantine) {
	all := map[cellKey]moments{}
	for _, name := range slices.Sorted(maps.Keys(reports)) {
		for key, m := range reports[name] {
			sum := all[key]
			sum.n, sum.sum, sum.squares = sum.n+m.n, sum.sum+m.sum, sum.squares+m.squares
			all[key] = sum
		}
	}
	for _, name := range slices.Sorted(maps.Keys(reports)) {
		if q := compareInstance(name, reports[name], all); math.Abs(q.Evidence) > math.Abs(worst.Evidence) {
			worst = q
		}
	}
	return worst
}

func compareInstance(name string, own, all map[cellKey]moments) centralcloud.Quarantine {
	keys := slices.SortedFunc(maps.Keys(own), func(x, y cellKey) int {
		return cmp.Or(x.arm.Compare(y.arm), cmp.Compare(x.task, y.task))
	})
	var surprise, variance, expected, n, sum float64
	for _, key := range keys {
		mine, total := own[key], all[key]
		others := total.n - mine.n
		if others < 1 {
			continue
		}
		mean := total.sum / total.n
		surprise += mine.sum - float64(mine.n*mean)
		variance += float64(mine.n*others*max(0, total.squares/total.n-square(mean))) / (total.n - 1)
		expected += float64(mine.n * (total.sum - mine.sum) / others)
		n += mine.n
		sum += mine.sum
	}
	if n < leastCompared || variance <= 0 {
		return centralcloud.Quarantine{}
	}
	return centralcloud.Quarantine{
		Instance: name, Success: rounded(sum/n, 3), Expected: rounded(expected/n, 3),
		Evidence: rounded(surprise/math.Sqrt(variance), 2),
		Why:      "its calls fare unlike those of the other instances at the same tasks and arms",
	}
}
