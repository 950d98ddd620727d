// Package memory keeps runs in the memory of the process and nowhere else:
// for tests, and for a node that need not remember.
//
// It behaves as the databases do, times to the microsecond included. All its
// state is behind one mutex, and time is what package time says, so that it
// works inside a testing/synctest bubble.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// Store is a [persistence.Store] whose contents end with it.
type Store struct {
	mu      sync.Mutex
	closed  bool
	runs    map[workflow.RunID]*run
	running map[workflow.RunID]*run
	waiting map[string][]*run // claimable, by queue, in the order of claims
	holders map[holding]*run  // of keys
	only    map[[32]byte]*run // holders of unique keys
	boots   map[persistence.BootID]*member
	agents  map[string]*agent
	inbox   inbox
	results map[workflow.RunID]JobResult
	tokens  map[string]persistence.Token
	budgets map[budgetKey]budget
	ended   map[persistence.BootID]*takeover // boots that were declared dead
	queues  map[string]*queue                // that operators said anything of
	batches map[string]*batch
	unended map[string]int // runs of batches

	schedules map[string]workflow.Schedule
	slots     map[slotKey]bool // that have their run
	learnings map[learningKey]persistence.Learning
	secrets   map[string][]byte
}

var _ persistence.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{
		runs:    map[workflow.RunID]*run{},
		running: map[workflow.RunID]*run{},
		waiting: map[string][]*run{},
		holders: map[holding]*run{},
		only:    map[[32]byte]*run{},
		boots:   map[persistence.BootID]*member{},
		agents:  map[string]*agent{},
		inbox:   inbox{known: map[messageKey]*inboxRow{}},
		results: map[workflow.RunID]JobResult{},
		tokens:  map[string]persistence.Token{},
		budgets: map[budgetKey]budget{},
		ended:   map[persistence.BootID]*takeover{},
		queues:  map[string]*queue{},
		batches: map[string]*batch{},
		unended: map[string]int{},

		schedules: map[string]workflow.Schedule{},
		slots:     map[slotKey]bool{},
		learnings: map[learningKey]persistence.Learning{},
		secrets:   map[string][]byte{},
	}
}

var errClosed = fmt.Errorf("%w: it is closed", workflow.ErrUnavailable)

// Close ends the store; its contents go with it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// enter locks the store for one call, unless the call is over already.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	return nil
}

// now is the time in the precision that databases keep.
func now() time.Time { return stored(time.Now()) }

func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Commit implements [persistence.Committer]. Whatever could fail is checked
// before the first write is applied.
func (s *Store) Commit(ctx context.Context, batch []persistence.Write) ([]persistence.Verdict, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if err := persistence.CheckBatch(batch); err != nil {
		return nil, err
	}
	at := now()
	verdicts := make([]persistence.Verdict, len(batch))
	for i, write := range batch {
		verdicts[i] = s.apply(write, at)
	}
	return verdicts, nil
}

func (s *Store) apply(write persistence.Write, at time.Time) persistence.Verdict {
	switch w := write.(type) {
	case persistence.Insert:
		return s.insert(w, at)
	case persistence.Claim:
		return s.claim(w, at)
	case persistence.Advance:
		return s.advance(w, at)
	case persistence.Reactivate:
		return s.reactivate(w)
	case persistence.Cancel:
		return s.cancel(w, at)
	case persistence.Retry:
		return s.retry(w, at)
	case persistence.Post:
		return s.post(w, at)
	case persistence.Acknowledge:
		return s.acknowledge(w, at)
	default:
		panic(fmt.Sprintf("memory store: unchecked write %T", write))
	}
}
