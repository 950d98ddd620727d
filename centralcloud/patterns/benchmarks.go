package patterns

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"singularity/centralcloud"
)

const (
	benchmarksRule = 2
	// benchmarksSure is the interval in standard deviations: 95 %.
	benchmarksSure = 1.96
	// mostBenchmarks is how many there are at a time.
	mostBenchmarks = 300

	nanosInACent = 1e7
)

// Benchmarks say what the models were worth in the last [Window].
type Benchmarks struct {
	MadeAt        time.Time   `json:"made_at"`
	WindowSeconds int64       `json:"window_seconds"`
	Rule          int         `json:"rule_version"`
	Models        []Benchmark `json:"models"`
}

// Benchmark is what a model was worth at a kind of task, by the counters.
type Benchmark struct {
	centralcloud.Arm
	TaskType string `json:"task_type"` // or [centralcloud.AnyTask]

	Calls     int64      `json:"calls"` // that were answered or should have been
	N         int64      `json:"n"`     // answers of which somebody said how good they were
	FirstSeen time.Time  `json:"first_seen"`
	Success   float64    `json:"success"` // of the answers
	CI95      [2]float64 `json:"ci95"`

	// BetterThan is the probability that it succeeds more often at this task than each
	// of the models that are called most there.
	BetterThan map[string]float64 `json:"better_than,omitempty"`
	Ability    *Ability           `json:"ability,omitempty"` // at all tasks; nil for one

	CostCents           float64            `json:"cost_cents"` // of a call
	CostPerSuccessCents *float64           `json:"cost_per_success_cents"`
	P50Millis           int64              `json:"p50_ms"`
	P95Millis           int64              `json:"p95_ms"`
	P99Millis           int64              `json:"p99_ms"`
	Errors              map[string]float64 `json:"errors"` // by class, as a share of all calls
}

// Compare says what models were worth, by task and then by model. Those with
// the fewest calls are left out if there are too many.
func Compare(e *Evidence, now time.Time) Benchmarks {
	kinds := map[armTask]*total{}
	for _, d := range e.digests {
		for _, p := range d.all() {
			for key, sum := range p.totals {
				entry(kinds, key).merge(sum)
			}
		}
	}
	able := abilities(kinds)
	for key, sum := range maps.Clone(kinds) {
		entry(kinds, armTask{key.arm, centralcloud.AnyTask}).merge(sum)
	}
	made := Benchmarks{MadeAt: now.UTC(), WindowSeconds: int64(Window / time.Second), Rule: benchmarksRule}
	for _, key := range slices.SortedFunc(maps.Keys(kinds), armTask.compare) {
		sum := kinds[key].counters()
		if tried(&sum) > 0 {
			b := benchmarkOf(key, &sum, time.Unix(kinds[key].first, 0).UTC())
			if ability, known := able[key.arm]; known && key.task == centralcloud.AnyTask {
				b.Ability = &ability
			}
			made.Models = append(made.Models, b)
		}
	}
	if len(made.Models) > mostBenchmarks {
		slices.SortStableFunc(made.Models, func(a, b Benchmark) int { return cmp.Compare(b.Calls, a.Calls) })
		made.Models = made.Models[:mostBenchmarks]
	}
	slices.SortFunc(made.Models, func(a, b Benchmark) int {
		return cmp.Or(cmp.Compare(a.TaskType, b.TaskType), a.Compare(b.Arm))
	})
	compareRivals(made.Models)
	return made
}

func benchmarkOf(key armTask, c *centralcloud.Counters, first time.Time) Benchmark {
	calls := tried(c)
	b := Benchmark{
		Arm: key.arm, TaskType: key.task, Calls: calls, N: c.Judged, FirstSeen: first,
		CostCents: rounded(float64(c.Cost) / nanosInACent / float64(calls)),
		P50Millis: c.Latency.Quantile(0.5) / 1000, P95Millis: c.Latency.Quantile(0.95) / 1000, P99Millis: c.Latency.Quantile(0.99) / 1000,
		Errors: map[string]float64{},
	}
	rate := 0.0
	if c.Judged > 0 {
		rate = float64(c.Successes) / float64(c.Judged)
	}
	low, high := centralcloud.Wilson(rate, float64(c.Judged), benchmarksSure)
	b.Success, b.CI95 = fourDecimals(rate), [2]float64{fourDecimals(low), fourDecimals(high)}
	if c.Successes > 0 {
		cost := rounded(float64(c.Cost) / nanosInACent / float64(c.Successes))
		b.CostPerSuccessCents = &cost
	}
	for class, n := range c.Errors {
		b.Errors[class] = fourDecimals(float64(n) / float64(calls))
	}
	return b
}

func fourDecimals(share float64) float64 { return math.Round(share*1e4) / 1e4 }
