package patterns

import (
	"cmp"
	"math"
	"slices"

	"singularity/centralcloud"
)

// mostRivals is how many models each is compared with at a task.
const mostRivals = 5

// compareRivals says of each benchmark of a task with which probability its model
// is better than the most called others. They are in the order of their tasks.
func compareRivals(benchmarks []Benchmark) {
	for len(benchmarks) > 0 {
		task := benchmarks[0].TaskType
		end := slices.IndexFunc(benchmarks, func(b Benchmark) bool { return b.TaskType != task })
		if end < 0 {
			end = len(benchmarks)
		}
		if task != centralcloud.AnyTask { // where all do something else
			compareAt(benchmarks[:end])
		}
		benchmarks = benchmarks[end:]
	}
}

func compareAt(benchmarks []Benchmark) {
	rivals := slices.DeleteFunc(slices.Clone(benchmarks), func(b Benchmark) bool { return b.N == 0 })
	slices.SortStableFunc(rivals, func(a, b Benchmark) int { return cmp.Compare(b.N, a.N) })
	for i := range benchmarks {
		own := &benchmarks[i]
		for _, rival := range rivals {
			if own.N == 0 || rival.Arm == own.Arm || len(own.BetterThan) == mostRivals {
				continue
			}
			if own.BetterThan == nil {
				own.BetterThan = map[string]float64{}
			}
			own.BetterThan[rival.String()] = fourDecimals(better(own, &rival))
		}
	}
}

// better is the probability that a model succeeds more often than another, by what
// is known of each (Jeffreys), about as if that were normal.
func better(a, b *Benchmark) float64 {
	meanA, varianceA := a.posterior()
	meanB, varianceB := b.posterior()
	return 1 - normalTail((meanA-meanB)/math.Sqrt(varianceA+varianceB))
}

func (b *Benchmark) posterior() (mean, variance float64) {
	n := float64(b.N) + 1
	mean = (b.Success*float64(b.N) + 0.5) / n
	return mean, mean * (1 - mean) / (n + 1)
}
