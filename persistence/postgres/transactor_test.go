package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// transactional is a store beside whose tables a step has one of its own.
type transactional struct {
	*opened
	conn *pgx.Conn
}

func newTransactional(t *testing.T) transactional {
	t.Helper()
	store := open(t)
	conn := store.outside(t)
	if _, err := conn.Exec(t.Context(), `CREATE TABLE public.account (amount integer)`); err != nil {
		t.Fatal(err)
	}
	return transactional{store, conn}
}

// begin is the body of a step: it pays in.
func (s transactional) begin(t *testing.T) (context.Context, persistence.StepTransaction) {
	t.Helper()
	ctx, transaction, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, ok := postgres.Tx(ctx)
	if !ok {
		t.Fatal("the step's context carries no transaction")
	}
	if _, err := tx.Exec(ctx, `INSERT INTO public.account (amount) VALUES (5)`); err != nil {
		t.Fatal(err)
	}
	return ctx, transaction
}

// want checks how often was paid in, and how many steps the run has.
func (s transactional) want(t *testing.T, run workflow.RunID, paid, steps int) {
	t.Helper()
	var got int
	if err := s.conn.QueryRow(t.Context(), `SELECT count(*) FROM public.account`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	history, err := s.Steps(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	if got != paid || len(history) != steps {
		t.Errorf("paid in %d times with %d steps, want %d and %d", got, len(history), paid, steps)
	}
}

func TestStepAndCheckpointCommitTogether(t *testing.T) {
	t.Parallel()
	store := newTransactional(t)
	fence := owned(t, store, 1)[0]
	_, transaction := store.begin(t)
	store.want(t, fence.Run, 0, 0)
	w := advance(fence)
	w.Entry.Facts = []workflow.Fact{{Kind: "paid", Doc: []byte(`5`)}}
	verdict, err := transaction.Commit(t.Context(), w)
	if err != nil || verdict.Err != nil {
		t.Fatalf("commit: %+v, %v", verdict, err)
	}
	store.want(t, fence.Run, 1, 1)
	if steps, err := store.Steps(t.Context(), fence.Run); err != nil || len(steps[0].Facts) != 1 {
		t.Errorf("history %+v, %v; want the fact with its step", steps, err)
	}
}

func TestFencedStepRollsBack(t *testing.T) {
	t.Parallel()
	store := newTransactional(t)
	fence := owned(t, store, 1)[0]
	_, transaction := store.begin(t)
	land(t, store, persistence.Cancel{Run: fence.Run})
	verdict, err := transaction.Commit(t.Context(), advance(fence))
	if err != nil || !errors.Is(verdict.Err, persistence.ErrFenced) {
		t.Fatalf("commit: %+v, %v; want %v", verdict, err, persistence.ErrFenced)
	}
	store.want(t, fence.Run, 0, 0)
}

func TestStepThatFailsRollsBack(t *testing.T) {
	t.Parallel()
	store := newTransactional(t)
	fence := owned(t, store, 1)[0]
	_, transaction := store.begin(t)
	if err := transaction.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.want(t, fence.Run, 0, 0)
}

func TestStepWhoseCheckpointCannotBeStoredRollsBack(t *testing.T) {
	t.Parallel()
	store := newTransactional(t)
	fence := owned(t, store, 1)[0]
	_, transaction := store.begin(t)
	w := advance(fence)
	w.Entry.State = []byte("\x00")
	if _, err := transaction.Commit(t.Context(), w); !errors.Is(err, persistence.ErrBadWrite) {
		t.Fatalf("commit: %v, want %v", err, persistence.ErrBadWrite)
	}
	store.want(t, fence.Run, 0, 0)
}

func TestStepCommitsAfterItsContextEnded(t *testing.T) {
	t.Parallel()
	store := newTransactional(t)
	fence := owned(t, store, 1)[0]
	_, transaction := store.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	verdict, err := transaction.Commit(ctx, advance(fence))
	if err != nil || verdict.Err != nil {
		t.Fatalf("commit: %+v, %v", verdict, err)
	}
	store.want(t, fence.Run, 1, 1)
}

func TestStepCannotEndItsTransaction(t *testing.T) {
	t.Parallel()
	store := newTransactional(t)
	fence := owned(t, store, 1)[0]
	ctx, transaction := store.begin(t)
	tx, _ := postgres.Tx(ctx)
	if tx.Commit(ctx) == nil || tx.Rollback(ctx) == nil {
		t.Error("the step ended its transaction")
	}
	if verdict, err := transaction.Commit(t.Context(), advance(fence)); err != nil || verdict.Err != nil {
		t.Fatalf("commit: %+v, %v", verdict, err)
	}
	store.want(t, fence.Run, 1, 1)
	if _, ok := postgres.Tx(t.Context()); ok {
		t.Error("there is a transaction outside of a step")
	}
}
