package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"singularity/benchmarks/queues"
)

// Queues is what was found about job queues.
type Queues struct {
	At       time.Time   `json:"at"`
	Machine  string      `json:"machine"`
	Postgres string      `json:"postgres"`
	Rounds   int         `json:"rounds"`
	Jobs     int         `json:"jobs"`
	Workers  int         `json:"workers"`
	Seconds  float64     `json:"seconds_per_measurement"`
	Engines  []Contender `json:"engines"`
	Rows     []QueueRow  `json:"rows"`
	Bests    []QueueBest `json:"singularity_and_best_peer"`
	Failures []string    `json:"failures"`
}

// QueueSample is one measurement of one engine.
type QueueSample struct {
	Engine string
	Round  int
	Answer queues.Answer
}

// QueueRow is the median of an engine's samples.
type QueueRow struct {
	Engine  string  `json:"engine"`
	Enqueue Figure  `json:"enqueued_per_second"`
	Drain   Figure  `json:"drained_per_second"`
	Start   Latency `json:"start_of_a_job"`
	Gap     Latency `json:"one_job_to_the_next"`
}

// Figure is a median over the rounds.
type Figure struct {
	Median float64 `json:"median"`
	Range  Range   `json:"range"`
	// ByFloor is each round's own, and then the median; 0 without a floor.
	ByFloor float64 `json:"by_floor,omitempty"`
}

// Latency has milliseconds: medians over the rounds, and the most of all.
type Latency struct {
	Count int     `json:"count"`
	P50   Figure  `json:"p50_ms"`
	P99   Figure  `json:"p99_ms"`
	Most  float64 `json:"most_ms"`
}

// QueueBest holds Singularity against the best peer: by how much more it does, or
// which part of the peer's time it takes.
type QueueBest struct {
	What  string  `json:"what"`
	Ratio float64 `json:"ratio"`
	Peer  string  `json:"peer"`
}

// Of is the report with the rows of all samples, in the order in which engines
// first come.
func (q Queues) Of(samples []QueueSample) Queues {
	floors := map[int]queues.Answer{}
	byEngine := map[string][]QueueSample{}
	for _, sample := range samples {
		if sample.Engine == queues.Floor {
			floors[sample.Round] = sample.Answer
		}
		if byEngine[sample.Engine] == nil {
			q.Engines = append(q.Engines, Contender{Name: sample.Engine, Description: sample.Answer.Description})
		}
		byEngine[sample.Engine] = append(byEngine[sample.Engine], sample)
	}
	for _, engine := range q.Engines {
		rounds := byEngine[engine.Name]
		of := func(value func(queues.Answer) float64) Figure { return figureOf(rounds, floors, value) }
		latency := func(times func(queues.Answer) []time.Duration) Latency { return latencyOf(rounds, floors, times) }
		q.Rows = append(q.Rows, QueueRow{
			Engine:  engine.Name,
			Enqueue: of(func(a queues.Answer) float64 { return a.EnqueuePerSecond }),
			Drain:   of(func(a queues.Answer) float64 { return a.DrainPerSecond }),
			Start:   latency(func(a queues.Answer) []time.Duration { return a.Starts }),
			Gap:     latency(func(a queues.Answer) []time.Duration { return a.Gaps }),
		})
	}
	q.Bests = queueBests(q.Rows)
	return q
}

func figureOf(rounds []QueueSample, floors map[int]queues.Answer, value func(queues.Answer) float64) Figure {
	var values, ratios []float64
	for _, sample := range rounds {
		values = append(values, value(sample.Answer))
		if floor, found := floors[sample.Round]; found && value(floor) > 0 {
			ratios = append(ratios, value(sample.Answer)/value(floor))
		}
	}
	f := Figure{Range: rangeOf(values), Median: median(values)}
	if len(ratios) > 0 {
		f.ByFloor = median(ratios)
	}
	return f
}

func latencyOf(rounds []QueueSample, floors map[int]queues.Answer, times func(queues.Answer) []time.Duration) Latency {
	at := func(share float64) func(queues.Answer) float64 {
		return func(a queues.Answer) float64 {
			if len(times(a)) == 0 {
				return 0
			}
			return percentile(slices.Sorted(slices.Values(times(a))), share)
		}
	}
	l := Latency{P50: figureOf(rounds, floors, at(0.50)), P99: figureOf(rounds, floors, at(0.99))}
	for _, sample := range rounds {
		for _, took := range times(sample.Answer) {
			l.Count++
			l.Most = max(l.Most, milliseconds(took))
		}
	}
	return l
}

// queueBests finds the best peer for each of the figures.
func queueBests(rows []QueueRow) []QueueBest {
	own := slices.IndexFunc(rows, func(r QueueRow) bool { return r.Engine == queues.Singularity })
	if own < 0 {
		return nil
	}
	var bests []QueueBest
	for _, figure := range []struct {
		what string
		of   func(QueueRow) float64
		less bool // is better
	}{
		{"enqueued/s", func(r QueueRow) float64 { return r.Enqueue.Median }, false},
		{"drained/s", func(r QueueRow) float64 { return r.Drain.Median }, false},
		{"start p50", func(r QueueRow) float64 { return r.Start.P50.Median }, true},
		{"gap p50", func(r QueueRow) float64 { return r.Gap.P50.Median }, true},
	} {
		var best *QueueRow
		for i, row := range rows {
			if row.Engine == queues.Singularity || row.Engine == queues.Floor || figure.of(row) == 0 {
				continue
			}
			if best == nil || (figure.of(row) < figure.of(*best)) == figure.less {
				best = &rows[i]
			}
		}
		if best != nil {
			bests = append(bests, QueueBest{figure.what, figure.of(rows[own]) / figure.of(*best), best.Engine})
		}
	}
	return bests
}

// Write writes the report as Markdown that can be read as it is.
func (q Queues) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s; %s. %d jobs, %d workers, at most %g s a measurement; medians of %d rounds in turn, [least-most].\n\n",
		q.At.Format(time.DateTime), q.Machine, q.Postgres, q.Jobs, q.Workers, q.Seconds, q.Rounds)
	var engines table
	engines.row("engine", "version", "how")
	for _, engine := range q.Engines {
		engines.row(engine.Name, engine.Version, engine.Settings)
	}
	engines.write(&b)
	var rates, latencies table
	rates.row("engine", "enqueued/s", "x floor", "drained/s", "x floor")
	latencies.row("engine", "start p50 ms", "p99", "most", "n", "gap p50 ms", "p99", "most", "n")
	for _, row := range q.Rows {
		rates.row(row.Engine, row.Enqueue.text(), number(row.Enqueue.ByFloor), row.Drain.text(), number(row.Drain.ByFloor))
		latencies.row(slices.Concat([]string{row.Engine}, row.Start.cells(), row.Gap.cells())...)
	}
	rates.write(&b)
	latencies.write(&b)
	if len(q.Bests) > 0 {
		var bests table
		bests.row("singularity", "of the best peer's", "which is")
		for _, best := range q.Bests {
			bests.row(best.What, number(best.Ratio)+" x", best.Peer)
		}
		bests.write(&b)
	}
	for _, failure := range q.Failures {
		fmt.Fprintf(&b, "Failed: %s\n", failure)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Figure) text() string {
	return fmt.Sprintf("%s [%s-%s]", number(f.Median), number(f.Range[0]), number(f.Range[1]))
}

func (l Latency) cells() []string {
	return []string{l.P50.text(), number(l.P99.Median), number(l.Most), fmt.Sprint(l.Count)}
}
