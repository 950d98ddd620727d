package patterns

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

const (
	// Window is how far back the rules look.
	Window = 6 * time.Hour
	// mostSamples is how many samples are kept.
	mostSamples = 20_000
)

// Evidence is the calls that the rules look at, by spans of time. Its size depends
// on how many kinds of calls there are, not on how many calls or instances. The
// zero value has none.
type Evidence struct {
	digests   map[int64]*digest
	instances map[string]*seat
}

// seat is where an instance belongs.
type seat struct {
	part int
	last int64 // span that had something of it
}

// Put puts a span in the place of what was known of that time.
func (e *Evidence) Put(span *Span) {
	if e.digests == nil {
		e.digests, e.instances = map[int64]*digest{}, map[string]*seat{}
	}
	e.assign(span)
	e.digests[span.start] = span.digest(func(instance string) int { return e.instances[instance].part })
	e.thin()
}

// Forget drops what began before a time.
func (e *Evidence) Forget(before time.Time) {
	maps.DeleteFunc(e.digests, func(start int64, _ *digest) bool { return start < before.Unix() })
	maps.DeleteFunc(e.instances, func(_ string, s *seat) bool { return s.last < before.Unix() })
}

// Spans goes through the Unix seconds in which the spans begin that are known.
func (e *Evidence) Spans() iter.Seq[int64] { return maps.Keys(e.digests) }

// assign gives each new instance a part, one that has the fewest.
func (e *Evidence) assign(span *Span) {
	var has [partCount]int
	for _, s := range e.instances {
		has[s.part]++
	}
	names := map[string]bool{}
	for _, c := range span.rows {
		names[c.instance] = true
	}
	for i := range span.repeats {
		names[span.repeats[i].Instance] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if known := e.instances[name]; known != nil {
			known.last = max(known.last, span.start)
			continue
		}
		fewest := slices.Index(has[:], slices.Min(has[:]))
		e.instances[name] = &seat{fewest, span.start}
		has[fewest]++
	}
}

// thin keeps the samples below their limit, by taking from the spans that have
// most.
func (e *Evidence) thin() {
	sizes := make([]int, 0, len(e.digests))
	sum := 0
	for _, d := range e.digests {
		sizes = append(sizes, d.sampled())
		sum += sizes[len(sizes)-1]
	}
	if sum <= mostSamples {
		return
	}
	slices.Sort(sizes)
	room := mostSamples
	for i, size := range sizes {
		if share := room / (len(sizes) - i); size > share {
			for _, d := range e.digests {
				d.thin(share)
			}
			return
		}
		room -= size
	}
}

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
