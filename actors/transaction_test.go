package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// transactingStore is a memory store with transactions that a step may write
// notes in.
type transactingStore struct {
	*memory.Store
	begin error

	mu         sync.Mutex
	notes      []string // committed
	committed  int
	rolledBack int
	refuse     error // of the next commit
}

type notebook struct {
	store *transactingStore
	notes []string
}

type notebookKey struct{}

func (s *transactingStore) Begin(ctx context.Context) (context.Context, persistence.StepTransaction, error) {
	if s.begin != nil {
		return ctx, nil, s.begin
	}
	book := &notebook{store: s}
	return context.WithValue(ctx, notebookKey{}, book), book, nil
}

func (b *notebook) Commit(ctx context.Context, checkpoint persistence.Advance) (persistence.Verdict, error) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if err := b.store.refuse; err != nil {
		b.store.refuse = nil
		return persistence.Verdict{}, err
	}
	verdicts, err := b.store.Commit(ctx, []persistence.Write{checkpoint})
	if err != nil {
		return persistence.Verdict{}, err
	}
	b.store.committed++
	if verdicts[0].Err == nil {
		b.store.notes = append(b.store.notes, b.notes...)
	}
	return verdicts[0], nil
}

func (b *notebook) Rollback(context.Context) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.rolledBack++
	return nil
}

// ended counts the transactions that ended, by how.
func (s *transactingStore) ended() (committed, rolledBack int, notes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.committed, s.rolledBack, slices.Clone(s.notes)
}

// noting writes a note in its transaction and then does as it is told.
func noting(name string, then func(ctx context.Context, attempt int) error) workflow.Step[count] {
	var mu sync.Mutex
	attempts := 0
	return workflow.Do(name, func(ctx context.Context, s *count) error {
		mu.Lock()
		attempts++
		attempt := attempts
		mu.Unlock()
		book := ctx.Value(notebookKey{}).(*notebook)
		book.notes = append(book.notes, name)
		s.Trail = append(s.Trail, name)
		return then(ctx, attempt)
	}).Transactional()
}

func fine(context.Context, int) error { return nil }

func TestTransactionalStepCommitsItsRowsWithItsCheckpoint(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &transactingStore{Store: memory.New()}
		flow := workflow.New("flow", add("before"), noting("books", fine), noting("last", fine))
		node := startNode(t, store, Config{}, flow)
		writes := node.Stats().Writes
		if out := finish(t, start(t, node, flow)); !slices.Equal(out.Trail, []string{"before", "books", "last"}) {
			t.Errorf("got %+v", out)
		}
		committed, rolledBack, notes := store.ended()
		if committed != 2 || rolledBack != 0 || !slices.Equal(notes, []string{"books", "last"}) {
			t.Errorf("%d committed, %d rolled back, notes %v", committed, rolledBack, notes)
		}
		if passed := node.Stats().Writes - writes; passed != 2 {
			t.Errorf("%d writes passed the journal, want the start and one step", passed)
		}
	})
}

func TestFailedAttemptOfATransactionalStepRollsBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &transactingStore{Store: memory.New()}
		flow := workflow.New("flow", noting("books", func(ctx context.Context, attempt int) error {
			switch attempt {
			case 1:
				return errors.New("no ink")
			case 2:
				panic("no paper")
			case 3:
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}))
		node := startNode(t, store, Config{}, flow)
		run := start(t, node, flow)
		finish(t, run)
		committed, rolledBack, notes := store.ended()
		if committed != 1 || rolledBack != 3 || !slices.Equal(notes, []string{"books"}) {
			t.Errorf("%d committed, %d rolled back, notes %v", committed, rolledBack, notes)
		}
		want := []string{"books failed", "books failed", "books failed", "books completed"}
		if got := history(t, node, run.ID()); !slices.Equal(got, want) {
			t.Errorf("history is %v", got)
		}
	})
}

func TestTransactionOfALostRunRollsBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		lose func(*Node, workflow.RunID)
	}{
		{"cancelled", func(node *Node, id workflow.RunID) {
			if _, err := node.Cancel(context.Background(), id, "no more"); err != nil {
				panic(err)
			}
		}},
		{"its actor crashes", func(node *Node, id workflow.RunID) { crash(node, runPID(id)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store := &transactingStore{Store: memory.New()}
				deaf := func(_ context.Context, attempt int) error {
					if attempt == 1 {
						time.Sleep(time.Second) // beyond its context
					}
					return nil
				}
				flow := workflow.New("flow", noting("books", deaf))
				node := startNode(t, store, Config{}, flow)
				run := start(t, node, flow)
				synctest.Wait()
				test.lose(node, run.ID())
				time.Sleep(time.Minute)
				committed, rolledBack, notes := store.ended()
				if rolledBack != 1 || len(notes) != committed {
					t.Errorf("%d committed, %d rolled back, notes %v", committed, rolledBack, notes)
				}
			})
		})
	}
}

func TestTransactionThatIsNotTakenLeavesTheStepToBeRepeated(t *testing.T) {
	t.Parallel()
	for _, err := range []error{errDown, workflow.ErrOutcomeUnknown} {
		t.Run(err.Error(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store := &transactingStore{Store: memory.New(), refuse: err}
				flow := workflow.New("flow", noting("books", fine))
				node := startNode(t, store, Config{}, flow)
				finish(t, start(t, node, flow))
				if committed, _, notes := store.ended(); committed != 1 || len(notes) != 1 {
					t.Errorf("%d committed, notes %v", committed, notes)
				}
			})
		})
	}
}

func TestTransactionThatCannotBeginIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &transactingStore{Store: memory.New(), begin: errDown}
		flow := workflow.New("flow", noting("books", fine).Retry(workflow.Retry{Attempts: 1}))
		node := startNode(t, store, Config{}, flow)
		if ended := fails(t, start(t, node, flow)); !strings.Contains(ended.Reason, "begin the step's transaction") {
			t.Errorf("the run ended with %q", ended.Reason)
		}
	})
}

func TestTransactionalStepsAreRefusedWhereTheyCannotWork(t *testing.T) {
	t.Parallel()
	step := add("books").Transactional()
	plain, err := NewNode(memory.New(), Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := plain.Register(workflow.New("flow", step)); err == nil || !strings.Contains(err.Error(), "Postgres") {
		t.Errorf("on a store without transactions: %v", err)
	}
	able, err := NewNode(&transactingStore{Store: memory.New()}, Config{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	restartable := workflow.New("flow", step).Durability(workflow.Restartable)
	if err := able.Register(restartable); err == nil || !strings.Contains(err.Error(), "checkpointed") {
		t.Errorf("in a workflow that does not commit with each step: %v", err)
	}
}
