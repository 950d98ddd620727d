package centralcloud

import (
	"maps"
	"slices"
	"time"
)

// Jobs adds up runs that ended with a summary. The zero value is of none.
type Jobs struct {
	count, succeeded, priced int64
	cents                    float64
	elapsed                  time.Duration
	tokens                   int64
	models                   map[string]int64
	patterns                 map[string]bool
}

// Job is one run that ended with a summary.
type Job struct {
	Success   bool
	Elapsed   time.Duration
	CostCents *float64 // nil when nobody knows
	Tokens    int64
	Model     string
	Patterns  []string
}

// Add counts a run.
func (j *Jobs) Add(job Job) {
	j.count++
	if job.Success {
		j.succeeded++
	}
	j.elapsed += job.Elapsed
	j.tokens += job.Tokens
	if job.CostCents != nil {
		j.priced++
		j.cents += *job.CostCents
	}
	if job.Model != "" {
		if j.models == nil {
			j.models = map[string]int64{}
		}
		j.models[job.Model]++
	}
	for _, pattern := range job.Patterns {
		if j.patterns == nil {
			j.patterns = map[string]bool{}
		}
		j.patterns[pattern] = true
	}
}

// Merge adds the runs of other.
func (j *Jobs) Merge(other Jobs) {
	j.count += other.count
	j.succeeded += other.succeeded
	j.priced += other.priced
	j.cents += other.cents
	j.elapsed += other.elapsed
	j.tokens += other.tokens
	models, patterns := map[string]int64{}, map[string]bool{}
	for _, some := range []Jobs{*j, other} {
		for model, n := range some.models {
			models[model] += n
		}
		maps.Copy(patterns, some.patterns)
	}
	j.models, j.patterns = models, patterns
}

// JobSummary is what people read of jobs. Averages of nothing are null.
type JobSummary struct {
	PeriodSeconds float64      `json:"period_seconds"`
	Count         int64        `json:"job_count"`
	SuccessRate   *float64     `json:"success_rate"`
	CostCents     *float64     `json:"avg_cost_cents"` // of those whose cost is known
	LatencyMillis *float64     `json:"avg_latency_ms"`
	Models        []ModelCount `json:"models_used"` // by model
	Patterns      []string     `json:"patterns_discovered"`
	Tokens        int64        `json:"total_tokens"`
}

// ModelCount is how many runs used a model last.
type ModelCount struct {
	Model string `json:"model"`
	Count int64  `json:"count"`
}

// Summary sums up the jobs of a period.
func (j *Jobs) Summary(period time.Duration) JobSummary {
	summary := JobSummary{
		PeriodSeconds: period.Round(time.Millisecond).Seconds(),
		Count:         j.count,
		SuccessRate:   average(float64(j.succeeded), j.count),
		CostCents:     average(j.cents, j.priced),
		LatencyMillis: average(float64(j.elapsed.Microseconds())/1000, j.count),
		Models:        []ModelCount{},
		Patterns:      append([]string{}, slices.Sorted(maps.Keys(j.patterns))...),
		Tokens:        j.tokens,
	}
	for _, model := range slices.Sorted(maps.Keys(j.models)) {
		summary.Models = append(summary.Models, ModelCount{model, j.models[model]})
	}
	return summary
}

func average(sum float64, n int64) *float64 {
	if n == 0 {
		return nil
	}
	return new(sum / float64(n))
}
