package patterns

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

// SpanLength is the time by which evidence is read and kept.
const SpanLength = 5 * time.Minute

// SpanOf returns the Unix second in which the span of an epoch begins.
func SpanOf(epoch int64) int64 {
	const length = int64(SpanLength / time.Second)
	return epoch - (epoch%length+length)%length
}

// Span collects what nodes reported of one span of time, in whatever order.
type Span struct {
	start   int64
	rows    map[cellKey]*cell
	samples []centralcloud.Sample
	repeats []centralcloud.Repeats
}

// NewSpan returns a span without calls, that begins at a Unix second.
func NewSpan(start int64) *Span { return &Span{start: start, rows: map[cellKey]*cell{}} }

// AddRow adds a row of counters. Each may be added once.
func (s *Span) AddRow(row centralcloud.Row) {
	if row.Plausible() {
		s.rows[cellKey{row.Boot, row.Epoch, row.TaskType, row.Bucket, row.Arm}] = &cell{instance: row.Instance, Counters: row.Counters}
	}
}

// AddSample adds a call. Each may be added once.
func (s *Span) AddSample(sample centralcloud.Sample) { s.samples = append(s.samples, sample) }

// AddRepeats adds what was asked. Each may be added once.
func (s *Span) AddRepeats(repeats centralcloud.Repeats) { s.repeats = append(s.repeats, repeats) }

// cellKey says which row of counters, or which samples. A boot belongs to one
// instance.
type cellKey struct {
	boot   string
	epoch  int64
	task   string
	bucket int
	arm    centralcloud.Arm
}

func keyOf(s *centralcloud.Sample) cellKey {
	return cellKey{s.Boot, centralcloud.EpochOf(s.At.Unix()), s.TaskType, s.Bucket, s.Arm}
}

// cell is a row of counters, and how many of its calls are samples.
type cell struct {
	centralcloud.Counters
	instance            string
	failures, successes int64
}

// each is how many failures, or successes, there were for each that is a sample.
func (c *cell) each(failed bool) float64 {
	if failed {
		return float64(failedOf(&c.Counters)) / float64(c.failures)
	}
	return float64(succeeded(&c.Counters)) / float64(c.successes)
}

// askedKey is a site, as some instances have it.
type askedKey struct {
	part int
	site siteKey
}

// digest sums up the span by the parts of its instances. Samples without a row
// tell nothing: it is not known what they stand for.
func (s *Span) digest(partOf func(instance string) int) *digest {
	d := &digest{start: s.start}
	for key, c := range s.rows {
		d.part(partOf(c.instance)).count(key, &c.Counters)
	}
	s.samples = slices.DeleteFunc(s.samples, func(sample centralcloud.Sample) bool {
		c := s.rows[keyOf(&sample)]
		switch {
		case c == nil:
		case sample.ErrorClass == "":
			c.successes++
		default:
			c.failures++
		}
		return c == nil
	})
	for _, sample := range s.samples {
		c := s.rows[keyOf(&sample)]
		p := d.part(partOf(c.instance))
		p.samples = append(p.samples, weighed{sample, c.each(sample.ErrorClass != "")})
	}
	asked := map[askedKey][]*centralcloud.Asked{}
	slices.SortFunc(s.repeats, func(a, b centralcloud.Repeats) int { return a.Compare(b.RepeatsKey) })
	for i := range s.repeats {
		r := &s.repeats[i]
		of := askedKey{partOf(r.Instance), siteKey{stepKey{r.Workflow, r.Step}, r.Arm}}
		asked[of] = append(asked[of], &r.Asked)
	}
	for of, list := range asked {
		sum := centralcloud.SumAsked(list...)
		sum.Shrink(spanQuestions, spanQuestions)
		d.part(of.part).asked[of.site] = sum
	}
	for _, p := range d.all() {
		slices.SortFunc(p.samples, func(a, b weighed) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) })
		p.scale()
	}
	d.bound()
	return d
}

func failedOf(c *centralcloud.Counters) (sum int64) {
	for _, n := range c.Errors {
		sum += n
	}
	return sum
}

func succeeded(c *centralcloud.Counters) int64 {
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
