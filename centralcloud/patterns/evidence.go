package patterns

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

// Window is how far back the rules look.
const Window = 6 * time.Hour

// Evidence is the calls that the rules look at. The zero value has none.
type Evidence struct {
	cells   map[cellKey]*cell
	samples []centralcloud.Sample
	sorted  bool
}

// cellKey says which row of counters, or which samples. A boot belongs to one
// instance.
type cellKey struct {
	boot   string
	epoch  int64
	task   string
	bucket int
	arm    centralcloud.Arm
}

// cell is a row of counters, and how many of its calls are samples.
type cell struct {
	centralcloud.Counters
	failures, successes int64
}

// AddRow adds a row of counters. Each may be added once.
func (e *Evidence) AddRow(row centralcloud.Row) {
	if row.Plausible() {
		e.cell(cellKey{row.Boot, row.Epoch, row.TaskType, row.Bucket, row.Arm}).Counters = row.Counters
	}
}

// AddSample adds a call. Each may be added once.
func (e *Evidence) AddSample(sample centralcloud.Sample) {
	c := e.cell(keyOf(sample))
	if sample.ErrorClass == "" {
		c.successes++
	} else {
		c.failures++
	}
	e.samples, e.sorted = append(e.samples, sample), false
}

func keyOf(s centralcloud.Sample) cellKey {
	return cellKey{s.Boot, centralcloud.EpochOf(s.At.Unix()), s.TaskType, s.Bucket, s.Arm}
}

func (e *Evidence) cell(key cellKey) *cell {
	if e.cells == nil {
		e.cells = map[cellKey]*cell{}
	}
	return entry(e.cells, key)
}

// calls goes through the samples in the order of time, each with the number of
// calls that it stands for.
func (e *Evidence) calls() iter.Seq2[*centralcloud.Sample, float64] {
	if !e.sorted {
		slices.SortFunc(e.samples, func(a, b centralcloud.Sample) int {
			return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
		})
		e.sorted = true
	}
	return func(yield func(*centralcloud.Sample, float64) bool) {
		for i := range e.samples {
			s := &e.samples[i]
			if !yield(s, e.cells[keyOf(*s)].weight(s.ErrorClass != "")) {
				return
			}
		}
	}
}

// sampledSince is the epoch of the oldest sample. There may be rows from before
// it, when there were more samples than are looked at. It holds after calls.
func (e *Evidence) sampledSince() int64 {
	if len(e.samples) == 0 {
		return math.MaxInt64
	}
	return centralcloud.EpochOf(e.samples[0].At.Unix())
}

// weight is how many failures, or successes, there were for each that is a sample.
func (c *cell) weight(failed bool) float64 {
	all, sampled := c.succeeded(), c.successes
	if failed {
		all, sampled = c.failed(), c.failures
	}
	return max(1, float64(all)/float64(sampled))
}

func (c *cell) failed() (sum int64) {
	for _, n := range c.Errors {
		sum += n
	}
	return sum
}

func (c *cell) succeeded() int64 {
	sum := c.Calls
	for class, n := range c.Errors {
		if centralcloud.Answered(class) {
			sum -= n
		}
	}
	return sum
}

// tried counts the calls that met an answer or should have.
func tried(c *centralcloud.Counters) int64 { return c.Calls + c.Unavailable() }

// armTask is a model at a kind of task.
type armTask struct {
	arm  centralcloud.Arm
	task string
}

func (k armTask) compare(other armTask) int {
	return cmp.Or(k.arm.Compare(other.arm), strings.Compare(k.task, other.task))
}

// stepKey is a step that calls a model.
type stepKey struct{ workflow, step string }

func (k stepKey) String() string { return k.workflow + "/" + k.step }

// siteKey is where calls are made: a step and the model that it called.
type siteKey struct {
	stepKey
	arm centralcloud.Arm
}

func siteOf(s *centralcloud.Sample) siteKey { return siteKey{stepKey{s.Workflow, s.Step}, s.Arm} }

func (k siteKey) compare(other siteKey) int {
	return cmp.Or(strings.Compare(k.workflow, other.workflow), strings.Compare(k.step, other.step), k.arm.Compare(other.arm))
}

// entry returns the entry of a key, and makes it first if need be.
func entry[K comparable, V any](entries map[K]*V, key K) *V {
	if entries[key] == nil {
		entries[key] = new(V)
	}
	return entries[key]
}
