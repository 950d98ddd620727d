// Package report makes a table of what was measured: medians over the rounds,
// ratios, and the goals held against them.
package report

import (
	"slices"
	"time"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/meter"
)

// Report is all that one run of the program found.
type Report struct {
	At         time.Time   `json:"at"`
	Machine    string      `json:"machine"`
	Postgres   string      `json:"postgres"`
	Rounds     int         `json:"rounds"`
	Seconds    float64     `json:"seconds_per_measurement"`
	Contenders []Contender `json:"contenders"`
	Rows       []Row       `json:"rows"`
	Bests      []Best      `json:"singularity_and_best_peer"`
	Failures   []string    `json:"failures"`
}

// Contender says what a name in the rows stands for.
type Contender struct {
	Name string `json:"name"`
	contender.Description
}

// Cell is what is measured once a round.
type Cell struct {
	Contender  string `json:"contender"`
	StateBytes int    `json:"state_bytes"`
	InFlight   int    `json:"in_flight"`
}

// Sample is one measurement of a cell.
type Sample struct {
	Cell
	Round  int
	Answer contender.Answer
	Usage  meter.Usage
}

// Row is the median of a cell's samples; costs are per workflow.
type Row struct {
	Cell
	Samples    int     `json:"samples"`
	Workflows  int     `json:"workflows"` // of all samples
	P50        float64 `json:"p50_ms"`
	P50Range   Range   `json:"p50_ms_range"`
	P95        float64 `json:"p95_ms"`
	P99        float64 `json:"p99_ms"`
	PerSecond  float64 `json:"workflows_per_second"`
	RateRange  Range   `json:"workflows_per_second_range"`
	P50Ratio   float64 `json:"p50_by_floor,omitempty"` // each round's own, and then the median
	RateRatio  float64 `json:"rate_by_floor,omitempty"`
	Statements float64 `json:"statements"`
	Commits    float64 `json:"commits"`
	WALBytes   float64 `json:"wal_bytes"`
	ClientCPU  float64 `json:"client_cpu_ms"`
	ServerCPU  float64 `json:"server_cpu_ms"`
	ClientMiB  float64 `json:"client_mib"`
	ServerMiB  float64 `json:"server_mib"`
	OtherCores float64 `json:"other_cores"`
}

// Range is the least and the most of the rounds.
type Range [2]float64

// Disturbed says that something else used the machine while the row was
// measured.
func (r Row) Disturbed() bool { return r.OtherCores > disturbance }

const disturbance = 0.35 // of a core

// Rows are the medians of all samples, in the order in which cells first come.
// floor names the contender that the others are divided by.
func Rows(samples []Sample, floor string) []Row {
	var order []Cell
	cells := map[Cell][]figures{}
	floors := map[Cell]map[int]figures{} // by cell without a contender, and round
	for _, sample := range samples {
		if sample.Contender == floor {
			at := sample.Cell
			at.Contender = ""
			if floors[at] == nil {
				floors[at] = map[int]figures{}
			}
			floors[at][sample.Round] = figuresOf(sample)
		}
	}
	for _, sample := range samples {
		f := figuresOf(sample)
		at := sample.Cell
		at.Contender = ""
		if base, found := floors[at][sample.Round]; found {
			f.p50Ratio, f.rateRatio = f.p50/base.p50, f.rate/base.rate
		}
		if cells[sample.Cell] == nil {
			order = append(order, sample.Cell)
		}
		cells[sample.Cell] = append(cells[sample.Cell], f)
	}
	var rows []Row
	for _, cell := range order {
		rows = append(rows, medianRow(cell, cells[cell]))
	}
	return rows
}

// figures are those of one sample.
type figures struct {
	n                                        int
	p50, p95, p99, rate, p50Ratio, rateRatio float64
	usage                                    meter.Usage
}

func figuresOf(s Sample) figures {
	took := slices.Clone(s.Answer.Took)
	slices.Sort(took)
	return figures{
		n:     len(took),
		p50:   percentile(took, 0.50),
		p95:   percentile(took, 0.95),
		p99:   percentile(took, 0.99),
		rate:  float64(len(took)) / s.Answer.Elapsed.Seconds(),
		usage: s.Usage,
	}
}

func medianRow(cell Cell, all []figures) Row {
	of := func(field func(figures) float64) float64 { return median(each(all, field)) }
	perWorkflow := func(field func(meter.Usage) float64) float64 {
		return of(func(f figures) float64 { return field(f.usage) / float64(f.n) })
	}
	p50, rate := func(f figures) float64 { return f.p50 }, func(f figures) float64 { return f.rate }
	row := Row{
		Cell:       cell,
		Samples:    len(all),
		P50:        of(p50),
		P50Range:   rangeOf(each(all, p50)),
		P95:        of(func(f figures) float64 { return f.p95 }),
		P99:        of(func(f figures) float64 { return f.p99 }),
		PerSecond:  of(rate),
		RateRange:  rangeOf(each(all, rate)),
		P50Ratio:   of(func(f figures) float64 { return f.p50Ratio }),
		RateRatio:  of(func(f figures) float64 { return f.rateRatio }),
		Statements: perWorkflow(func(u meter.Usage) float64 { return float64(u.Statements) }),
		Commits:    perWorkflow(func(u meter.Usage) float64 { return float64(u.Commits) }),
		WALBytes:   perWorkflow(func(u meter.Usage) float64 { return float64(u.WALBytes) }),
		ClientCPU:  perWorkflow(func(u meter.Usage) float64 { return milliseconds(u.ClientCPU) }),
		ServerCPU:  perWorkflow(func(u meter.Usage) float64 { return milliseconds(u.ServerCPU) }),
		ClientMiB:  of(func(f figures) float64 { return float64(f.usage.ClientBytes) / (1 << 20) }),
		ServerMiB:  of(func(f figures) float64 { return float64(f.usage.ServerBytes) / (1 << 20) }),
		OtherCores: of(func(f figures) float64 { return f.usage.OtherCores }),
	}
	for _, f := range all {
		row.Workflows += f.n
	}
	return row
}

func each(all []figures, field func(figures) float64) []float64 {
	values := make([]float64, len(all))
	for i, f := range all {
		values[i] = field(f)
	}
	return values
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// percentile is of sorted durations, in milliseconds: the smallest that so
// large a share does not exceed.
func percentile(sorted []time.Duration, share float64) float64 {
	return milliseconds(sorted[min(int(share*float64(len(sorted))), len(sorted)-1)])
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func rangeOf(values []float64) Range { return Range{slices.Min(values), slices.Max(values)} }
