package hub

import (
	"context"
	"maps"
	"slices"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

const (
	// readAtOnce is for how long a look for patterns reads. What is left is read
	// after the next tick.
	readAtOnce = 500 * time.Millisecond
	// mostSamples is how many samples of a span are read.
	mostSamples = 2_000
)

// search is a leader's search for patterns: what it has read already, and what is
// to be read. Where nothing was reported since, nothing is read again.
type search struct {
	evidence patterns.Evidence
	unread   map[int64]bool // the starts of the spans of which something was reported
	suspects []string       // whose calls were left out, in order
	unseen   bool           // there are calls that nobody has looked at
	looked   time.Time      // when the last look began
}

// note notes that something was reported of a Unix time.
func (s *search) note(at int64, now time.Time) {
	start := patterns.SpanOf(at)
	if start < oldestSpan(now) {
		return
	}
	if s.unread == nil {
		s.unread = map[int64]bool{}
	}
	s.unread[start], s.unseen = true, true
}

// due reports whether it is time for a look. Where there were no calls since, what
// was found stays as it is until its evidence is too old.
func (s *search) due(now time.Time, every time.Duration) bool {
	since := now.Sub(s.looked)
	return s.unseen && since >= every || since >= patterns.Window
}

// forget drops what is older than a look goes back, and, when other instances are
// suspected than were, has all be read again.
func (s *search) forget(now time.Time, suspects []string) {
	oldest := oldestSpan(now)
	s.evidence.Forget(time.Unix(oldest, 0))
	if !slices.Equal(suspects, s.suspects) {
		s.suspects = suspects
		for start := range s.evidence.Spans() {
			s.note(start, now)
		}
	}
	maps.DeleteFunc(s.unread, func(start int64, _ bool) bool { return start < oldest })
}

func oldestSpan(now time.Time) int64 {
	return patterns.SpanOf(now.Add(-patterns.Window).Unix()) + int64(patterns.SpanLength.Seconds())
}

// find looks for patterns, and teaches what has changed. It begins with a whole
// term, of which reading may take half. When there is more to read than one look
// may read, the next tick goes on.
func (t *tenure) find(ctx context.Context) error {
	if !t.search.due(t.lead.At, t.PatternsEvery) {
		return nil
	}
	if err := t.prolong(ctx); err != nil {
		return err
	}
	now := t.lead.At
	t.search.forget(now, t.suspects())
	reading, cancel := context.WithTimeout(ctx, t.term()/2)
	defer cancel()
	all, err := t.readSpans(reading)
	if reading.Err() != nil && ctx.Err() == nil {
		t.search.looked = now
		t.Logger.WarnContext(ctx, "reading what nodes reported takes too long to look for patterns", "limit", t.term()/2, "again_in", t.PatternsEvery)
		return nil
	}
	if err != nil || !all {
		return err
	}
	t.search.looked, t.search.unseen = now, false
	found := patterns.Find(&t.search.evidence, now)
	changes, err := patterns.Changes(t.lessons, found, patterns.Compare(&t.search.evidence, now), now)
	if err != nil {
		return err
	}
	if t.policy != nil {
		saved, err := patterns.SavingsChange(t.lessons, patterns.Save(&t.search.evidence, t.policy, now))
		if err != nil {
			return err
		}
		changes = append(changes, saved...)
	}
	t.Logger.DebugContext(ctx, "looked for patterns", "found", len(found), "changes", len(changes))
	return t.teach(ctx, changes)
}

// suspects are the instances whose calls fare unlike all others'.
func (t *tenure) suspects() (names []string) {
	if t.policy != nil {
		for _, suspect := range t.policy.Quarantined {
			names = append(names, suspect.Instance)
		}
	}
	slices.Sort(names)
	return names
}

// readSpans reads what is unread, the oldest first, and reports whether that is
// all. It reads one span at least.
func (t *tenure) readSpans(ctx context.Context) (all bool, err error) {
	until := time.Now().Add(readAtOnce)
	for i, start := range slices.Sorted(maps.Keys(t.search.unread)) {
		if i > 0 && time.Now().After(until) {
			return false, nil
		}
		if err := t.readSpan(ctx, start); err != nil {
			return false, err
		}
		delete(t.search.unread, start)
	}
	return true, nil
}

// readSpan reads what instances reported of a span, but for those that are
// suspected.
func (t *tenure) readSpan(ctx context.Context, start int64) error {
	span, from := patterns.NewSpan(start), time.Unix(start, 0)
	until := from.Add(patterns.SpanLength)
	suspected := func(instance string) bool { return slices.Contains(t.search.suspects, instance) }
	err := t.Store.RowsBetween(ctx, from, until, func(row centralcloud.Row) error {
		if !suspected(row.Instance) {
			span.AddRow(row)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = t.Store.SamplesBetween(ctx, from, until, mostSamples, func(sample centralcloud.Sample) error {
		span.AddSample(sample)
		return nil
	})
	if err != nil {
		return err
	}
	err = t.Store.RepeatsBetween(ctx, from, until, func(repeats centralcloud.Repeats) error {
		if !suspected(repeats.Instance) {
			span.AddRepeats(repeats)
		}
		return nil
	})
	if err == nil {
		t.search.evidence.Put(span)
	}
	return err
}
