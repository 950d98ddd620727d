package hub_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/patterns"
)

// searched is a store that tells when a hub looks for patterns, and what it did
// before.
type searched struct {
	hub.Store
	calls *storeCalls
}

// storeCalls is what a hub did with its store.
type storeCalls struct {
	mu        sync.Mutex
	leads     int
	epochs    map[int64]bool // of the leads
	reads     int            // of rows of a time
	looks     int            // for patterns, to the end
	prolonged bool           // the lead, with nothing done since
	unready   int            // reads with something done since
	stuck     bool           // reading takes until nobody waits for it
}

func (c *storeCalls) leadCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads
}

func (c *storeCalls) readCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

func (c *storeCalls) lookCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.looks
}

// lookLog is the log of a hub, which says when it has looked for patterns.
type lookLog struct {
	slog.Handler
	calls *storeCalls
}

func (l lookLog) Enabled(context.Context, slog.Level) bool { return true }

func (l lookLog) Handle(_ context.Context, record slog.Record) error {
	l.calls.mu.Lock()
	defer l.calls.mu.Unlock()
	if record.Message == "looked for patterns" {
		l.calls.looks++
	}
	return nil
}

func (s searched) Lead(ctx context.Context, holder string, term time.Duration) (hub.Lead, error) {
	lead, err := s.Store.Lead(ctx, holder, term)
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	s.calls.leads++
	s.calls.epochs[lead.Epoch] = true
	s.calls.prolonged = true
	return lead, err
}

// Forget is the last thing that a tick does before it looks for patterns.
func (s searched) Forget(ctx context.Context, lead hub.Lead, before, repeatedBefore time.Time) error {
	s.calls.mu.Lock()
	s.calls.prolonged = false
	s.calls.mu.Unlock()
	return s.Store.Forget(ctx, lead, before, repeatedBefore)
}

func (s searched) RowsBetween(ctx context.Context, from, until time.Time, each func(centralcloud.Row) error) error {
	s.calls.mu.Lock()
	s.calls.reads++
	if !s.calls.prolonged {
		s.calls.unready++
	}
	stuck := s.calls.stuck
	s.calls.mu.Unlock()
	if stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.RowsBetween(ctx, from, until, each)
}

// startSearched runs a hub that looks for patterns as often as it may.
func (w *world) startSearched(calls *storeCalls) {
	w.Helper()
	calls.epochs = map[int64]bool{}
	w.start("a", func(config *hub.Config) {
		config.PatternsEvery = time.Nanosecond
		config.Store = searched{config.Store, calls}
		config.Logger = slog.New(lookLog{slog.DiscardHandler, calls})
	})
}

func TestHubLooksForPatternsOnlyAfterCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := &storeCalls{}
	w.startSearched(calls)
	for updates := range 3 {
		if updates > 0 {
			w.send(stepCalls("n1", lately()-30*int64(updates), map[string][2]int64{"good": {40, 4}}))
		}
		await(w, "a look for patterns", func() (bool, bool) { return true, calls.lookCount() > updates })
		from := calls.leadCount()
		await(w, "twenty ticks", func() (bool, bool) { return true, calls.leadCount() > from+20 })
		if got := calls.lookCount(); got != updates+1 {
			t.Errorf("the hub looked %d times, want once at first and once after each of %d updates", got, updates)
		}
	}
}

func TestLeadIsProlongedRightBeforeALookForPatterns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := &storeCalls{}
	w.startSearched(calls)
	w.send(stepCalls("n1", lately(), map[string][2]int64{"good": {40, 4}}))
	await(w, "a read for patterns", func() (bool, bool) { return true, calls.readCount() > 0 })
	calls.mu.Lock()
	defer calls.mu.Unlock()
	if calls.unready > 0 {
		t.Error("the hub looked for patterns without prolonging its lead first")
	}
}

func TestLookForPatternsThatTakesTooLongIsGivenUpAndTheLeadIsNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := &storeCalls{stuck: true}
	w.startSearched(calls)
	w.send(stepCalls("n1", lately(), map[string][2]int64{"good": {40, 4}}))
	await(w, "another look", func() (bool, bool) { return true, calls.readCount() > 1 })
	calls.mu.Lock()
	defer calls.mu.Unlock()
	if len(calls.epochs) != 1 || !calls.epochs[1] {
		t.Errorf("the leads have the epochs %v, want the first one only", calls.epochs)
	}
}

func TestLookReadsOnlyWhatIsNewAndTheRestIsKnownStill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := lately() - 3600
	for i := range int64(10) {
		w.send(stepCalls("n1", old+300*i, map[string][2]int64{"good": {40, 4}}))
	}
	calls := &storeCalls{}
	w.startSearched(calls)
	w.counted()
	benchmarks := func() (calls int64) {
		lessons, err := w.Lessons(t.Context())
		w.must(err)
		for _, lesson := range lessons {
			if lesson.Type == centralcloud.TypePerformanceBenchmark {
				b, err := patterns.DecodeBenchmarks(lesson.Document)
				w.must(err)
				calls = b.Models[0].Calls
			}
		}
		return calls
	}
	await(w, "benchmarks of all calls", func() (bool, bool) { return true, benchmarks() == 400 })
	from := calls.readCount()
	w.send(stepCalls("n1", old, map[string][2]int64{"good": {50, 4}})) // more of a time that was read
	await(w, "benchmarks of all calls and ten more", func() (bool, bool) { return true, benchmarks() == 410 })
	if reads := calls.readCount() - from; reads != 1 {
		t.Errorf("%d spans were read again, want the one that has changed", reads)
	}
}
