package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// ledgerStore is a committer that keeps the batches it was given.
type ledgerStore struct {
	mu      sync.Mutex
	fault   func(batch []persistence.Write) error // decides about each batch
	took    time.Duration                         // of each commit
	batches [][]persistence.Write                 // that landed
	tries   int
}

func (s *ledgerStore) Commit(_ context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	time.Sleep(s.took)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.fault != nil {
		if err := s.fault(batch); err != nil {
			return nil, err
		}
	}
	s.batches = append(s.batches, slices.Clone(batch))
	return make([]persistence.Verdict, len(batch)), nil
}

func (s *ledgerStore) setFault(fault func([]persistence.Write) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// sizes are those of the batches that landed.
func (s *ledgerStore) sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sizes []int
	for _, batch := range s.batches {
		sizes = append(sizes, len(batch))
	}
	return sizes
}

// runJournal commits until the test ends.
func runJournal(t *testing.T, store persistence.Committer, cfg JournalConfig) (journal *Journal, stop func()) {
	t.Helper()
	cfg.Logger = quiet()
	journal = NewJournal(store, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for journal.Run(ctx) != nil { // as its supervisor does
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	return journal, stop
}

// verdicts collects the replies to many writes and complains of second ones.
type verdicts struct {
	t  *testing.T
	mu sync.Mutex
	of map[int]error
}

func collectVerdicts(t *testing.T) *verdicts { return &verdicts{t: t, of: map[int]error{}} }

func (v *verdicts) reply(n int) func(persistence.Verdict) {
	return func(verdict persistence.Verdict) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if _, twice := v.of[n]; twice {
			v.t.Errorf("write %d was answered twice", n)
		}
		v.of[n] = verdict.Err
	}
}

// want checks that n writes were answered, those that bad tells with an error
// that is want, the others with none.
func (v *verdicts) want(n int, bad func(int) bool, want error) {
	v.t.Helper()
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.of) != n {
		v.t.Errorf("%d of %d writes were answered", len(v.of), n)
	}
	for i, err := range v.of {
		if bad(i) && !errors.Is(err, want) || !bad(i) && err != nil {
			v.t.Errorf("write %d was answered with %v", i, err)
		}
	}
}

func none(int) bool { return false }
func all(int) bool  { return true }

// advance is a write of an owner that says which one it is.
func advance(run workflow.RunID, seq int) persistence.Advance {
	return persistence.Advance{Fence: persistence.Fence{Run: run, Seq: int64(seq)}, State: workflow.Running}
}

func TestJournalFlushesALoneWriteAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &ledgerStore{}
		journal, _ := runJournal(t, store, JournalConfig{})
		began := time.Now()
		for range 3 {
			if _, err := journal.Commit(t.Context(), advance(workflow.NewRunID(), 0)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("three commits of no duration took %s", took)
		}
		if stats := journal.Stats(); stats.Batches != 3 || stats.Writes != 3 {
			t.Errorf("stats are %+v", stats)
		}
	})
}

func TestJournalGathersABatchWhileTheLastOneIsUnderWay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{took: time.Second}, collectVerdicts(t)
		journal, _ := runJournal(t, store, JournalConfig{MaxBatch: 40})
		for i := range 101 {
			journal.Append(advance(workflow.NewRunID(), 0), got.reply(i))
			if i == 0 {
				synctest.Wait()
			}
		}
		time.Sleep(time.Minute)
		got.want(101, none, nil)
		if sizes := store.sizes(); !slices.Equal(sizes, []int{1, 40, 40, 20}) {
			t.Errorf("batches of %v", sizes)
		}
	})
}

func TestJournalKeepsTheOrderOfARunAndNeverPutsItTwiceInABatch(t *testing.T) {
	t.Parallel()
	for _, writers := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d writers", writers), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store, got := &ledgerStore{took: time.Millisecond}, collectVerdicts(t)
				journal, _ := runJournal(t, store, JournalConfig{Writers: writers, MaxBatch: 8})
				var runs []workflow.RunID
				next := map[workflow.RunID]int{}
				for range 10 {
					runs = append(runs, workflow.NewRunID())
				}
				const writes = 500
				for i := range writes {
					run := runs[rand.IntN(len(runs))]
					journal.Append(advance(run, next[run]), got.reply(i))
					next[run]++
				}
				time.Sleep(time.Minute)
				got.want(writes, none, nil)
				landed := map[workflow.RunID]int64{}
				for _, batch := range store.batches {
					seen := map[workflow.RunID]bool{}
					for _, write := range batch {
						w := write.(persistence.Advance)
						if seen[w.Run] {
							t.Error("a run is twice in a batch")
						}
						seen[w.Run] = true
						if w.Seq != landed[w.Run] {
							t.Errorf("write %d of a run landed as number %d", w.Seq, landed[w.Run])
						}
						landed[w.Run]++
					}
				}
			})
		})
	}
}

func TestOneBadWriteFailsAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const bad = 63
		store, got := &ledgerStore{}, collectVerdicts(t)
		store.fault = func(batch []persistence.Write) error {
			if has(batch, func(w persistence.Advance) bool { return w.Seq == bad }) {
				return fmt.Errorf("%w: a surrogate half", persistence.ErrBadWrite)
			}
			return nil
		}
		journal := NewJournal(store, JournalConfig{Logger: quiet()})
		for i := range 100 {
			journal.Append(advance(workflow.NewRunID(), i), got.reply(i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := journal.Run(ctx); err != nil { // commits what was appended before
			t.Fatal(err)
		}
		got.want(100, func(i int) bool { return i == bad }, persistence.ErrBadWrite)
		if store.tries > 2*8 {
			t.Errorf("it took %d tries to find one bad write in 100", store.tries)
		}
	})
}

func TestStoreThatRefusesABatchForGoodFailsItsWrites(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		odd := errors.New("a mistake in the store")
		store, got := &ledgerStore{fault: func([]persistence.Write) error { return odd }}, collectVerdicts(t)
		journal, _ := runJournal(t, store, JournalConfig{})
		for i := range 5 {
			journal.Append(advance(workflow.NewRunID(), i), got.reply(i))
		}
		got.want(5, all, odd)
	})
}

func TestOutageRefusesRequestsAndKeepsWhatHasHappened(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got, refused := &ledgerStore{}, collectVerdicts(t), collectVerdicts(t)
		store.setFault(func([]persistence.Write) error { return errDown })
		journal, _ := runJournal(t, store, JournalConfig{})
		run := workflow.NewRunID()
		requests := []persistence.Write{
			persistence.Insert{Run: workflow.NewRunID()}, persistence.Claim{}, persistence.Cancel{Run: run},
			persistence.Retry{Run: workflow.NewRunID()}, persistence.Reactivate{Run: workflow.NewRunID()}, persistence.Post{},
		}
		journal.Append(advance(run, 0), got.reply(0))
		journal.Append(persistence.Acknowledge{}, got.reply(1))
		for i, request := range requests {
			journal.Append(request, refused.reply(i))
		}
		time.Sleep(10 * time.Second)
		refused.want(len(requests), all, workflow.ErrUnavailable)
		if err := journal.Outage(); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("the outage is told as %v", err)
		}
		began := time.Now()
		if _, err := journal.Commit(t.Context(), persistence.Cancel{Run: run}); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("a request during the outage was answered with %v", err)
		}
		if took := time.Since(began); took > 2*lastRepeat {
			t.Errorf("it waited %s for that", took)
		}
		got.want(0, none, nil)

		store.setFault(nil)
		time.Sleep(2 * lastRepeat)
		got.want(2, none, nil)
		if err := journal.Outage(); err != nil {
			t.Errorf("after the outage: %v", err)
		}
		if store.tries > 30 {
			t.Errorf("%d tries in a few seconds", store.tries)
		}
	})
}

func TestUnknownOutcomeIsRepeatedUntilItIsKnown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{}, collectVerdicts(t)
		store.setFault(func([]persistence.Write) error { return workflow.ErrOutcomeUnknown })
		journal, _ := runJournal(t, store, JournalConfig{})
		batch := []persistence.Write{advance(workflow.NewRunID(), 0), persistence.Insert{Run: workflow.NewRunID()}}
		for i, write := range batch {
			journal.Append(write, got.reply(i))
		}
		time.Sleep(10 * time.Second)
		got.want(0, none, nil)
		// What was never tried is refused, and not called unknown.
		_, err := journal.Commit(t.Context(), persistence.Cancel{Run: workflow.NewRunID()})
		if !errors.Is(err, workflow.ErrUnavailable) || errors.Is(err, workflow.ErrOutcomeUnknown) {
			t.Errorf("a request behind it was answered with %v", err)
		}
		store.setFault(nil)
		time.Sleep(2 * lastRepeat)
		got.want(2, none, nil)
		if last := store.batches[len(store.batches)-1]; len(last) != 2 {
			t.Errorf("the batch was repeated as %d writes", len(last))
		}
	})
}

func TestPanicOfTheStoreAnswersItsBatchAsUnknown(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{took: time.Second}, collectVerdicts(t)
		panics := 1
		store.fault = func(batch []persistence.Write) error {
			if has(batch, func(w persistence.Advance) bool { return w.Seq == 1 }) && panics > 0 {
				panics--
				panic("the driver is haunted")
			}
			return nil
		}
		journal := NewJournal(store, JournalConfig{Logger: quiet()})
		for i := range 20 {
			journal.Append(advance(workflow.NewRunID(), i/10), got.reply(i))
			if i == 9 {
				journal.Append(advance(workflow.NewRunID(), 0), func(persistence.Verdict) {
					for i := 20; i < 30; i++ { // while the batch that panics is still to come
						journal.Append(advance(workflow.NewRunID(), 2), got.reply(i))
					}
				})
			}
		}
		journal.lanes[0].maxBatch = 11
		err := journal.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "haunted") {
			t.Errorf("run ended with %v", err)
		}
		got.want(10+11, func(i int) bool { return i >= 10 }, workflow.ErrOutcomeUnknown)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := journal.Run(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(got.of); n != 30 {
			t.Errorf("%d of 30 writes were answered in the end", n)
		}
	})
}

func TestStopCommitsWhatWasAppended(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{took: time.Second}, collectVerdicts(t)
		journal, stop := runJournal(t, store, JournalConfig{MaxBatch: 10})
		for i := range 35 {
			journal.Append(advance(workflow.NewRunID(), 0), got.reply(i))
		}
		stop()
		got.want(35, none, nil)
		journal.close()
		if _, err := journal.Commit(t.Context(), advance(workflow.NewRunID(), 0)); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("a write after the end was answered with %v", err)
		}
	})
}

func TestStopDuringAnOutageGivesUp(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, got := &ledgerStore{fault: func([]persistence.Write) error { return errDown }}, collectVerdicts(t)
		journal, stop := runJournal(t, store, JournalConfig{MaxBatch: 10})
		for i := range 35 {
			journal.Append(advance(workflow.NewRunID(), 0), got.reply(i))
		}
		time.Sleep(time.Minute)
		stop()
		got.want(35, all, workflow.ErrOutcomeUnknown)
	})
}

func TestCommitGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &ledgerStore{took: time.Minute}
		journal, _ := runJournal(t, store, JournalConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := journal.Commit(ctx, advance(workflow.NewRunID(), 0)); !errors.Is(err, workflow.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("commit answered %v", err)
		}
	})
}

// Outside a bubble, so that goroutines really run side by side.
func TestEachWriteIsAnsweredOnceWhateverHappens(t *testing.T) {
	t.Parallel()
	var commits atomic.Int64
	store := &ledgerStore{fault: func([]persistence.Write) error {
		switch commits.Add(1) % 7 {
		case 1:
			return persistence.ErrBadWrite
		case 3:
			return workflow.ErrOutcomeUnknown
		case 5:
			panic("the driver is haunted")
		}
		return nil
	}}
	journal, stop := runJournal(t, store, JournalConfig{Writers: 2, MaxBatch: 16})
	got := collectVerdicts(t)
	const callers, each = 32, 20
	var appending sync.WaitGroup
	var answered atomic.Int64
	for c := range callers {
		appending.Go(func() {
			for i := range each {
				done, reply := make(chan struct{}), got.reply(c*each+i)
				journal.Append(advance(workflow.NewRunID(), i), func(v persistence.Verdict) {
					reply(v)
					answered.Add(1)
					close(done)
				})
				<-done
			}
		})
	}
	appending.Wait()
	stop()
	if n := answered.Load(); n != callers*each {
		t.Errorf("%d replies to %d writes", n, callers*each)
	}
}

func BenchmarkJournalAppend(b *testing.B) {
	journal := NewJournal(&ledgerStore{}, JournalConfig{Logger: quiet()})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = journal.Run(ctx)
	}()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		run := workflow.NewRunID()
		for pb.Next() {
			_, _ = journal.Commit(b.Context(), advance(run, 0))
		}
	})
	cancel()
	<-ended
}

func TestWriteWhoseEarlierTryMayHaveLandedIsNotRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &ledgerStore{}
		store.fault = func([]persistence.Write) error {
			if store.tries == 1 {
				return workflow.ErrOutcomeUnknown
			}
			return workflow.ErrUnavailable
		}
		journal, _ := runJournal(t, store, JournalConfig{})
		_, err := journal.Commit(t.Context(), persistence.Insert{Run: workflow.NewRunID()})
		if !errors.Is(err, workflow.ErrOutcomeUnknown) || errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("a start that may have landed was answered with %v", err)
		}
		_, err = journal.Commit(t.Context(), persistence.Insert{Run: workflow.NewRunID()})
		if !errors.Is(err, workflow.ErrUnavailable) || errors.Is(err, workflow.ErrOutcomeUnknown) {
			t.Errorf("a start that was never sent on its way was answered with %v", err)
		}
	})
}
