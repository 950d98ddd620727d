package actors

import (
	"context"
	"fmt"
	"time"

	"singularity/persistence"
)

// transactionEnds bounds the end of a step's transaction.
const transactionEnds = 10 * time.Second

// settlement takes the decision of a run's actor about the transaction of an
// attempt: the checkpoint to commit with it, or, closed, that it is to be
// rolled back. It has room for the decision.
type settlement chan persistence.Advance

// stepTransaction is the transaction of an attempt at a transactional step. It
// stays with the attempt's goroutine, which opens it before the body and ends
// it as the actor decides. The zero value is that of other steps.
type stepTransaction struct{ open persistence.StepTransaction }

func (t *stepTransaction) begin(ctx context.Context, store persistence.Transactor) (context.Context, error) {
	within, open, err := store.Begin(ctx)
	if err != nil {
		return ctx, fmt.Errorf("begin the step's transaction: %w", err)
	}
	t.open = open
	return within, nil
}

// returned takes in how the body returned: what failed is rolled back at once,
// and the rest is to be settled.
func (t *stepTransaction) returned(err error) settlement {
	switch {
	case t.open == nil:
		return nil
	case err != nil:
		t.rollBack()
		return nil
	default:
		return make(settlement, 1)
	}
}

// end waits for the decision and carries it out; the verdict is the store's on
// what was to be committed.
func (t *stepTransaction) end(decision settlement, dropped <-chan struct{}) (verdict persistence.Verdict, committed bool) {
	if decision == nil {
		return verdict, false
	}
	select {
	case checkpoint, commit := <-decision:
		if !commit {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), transactionEnds)
		defer cancel()
		verdict, err := t.open.Commit(ctx, checkpoint)
		if err != nil {
			verdict = persistence.Verdict{Err: err}
		}
		return verdict, true
	case <-dropped:
	}
	t.rollBack()
	return verdict, false
}

// rollBack needs no answer: a transaction that is not committed is nothing.
func (t *stepTransaction) rollBack() {
	ctx, cancel := context.WithTimeout(context.Background(), transactionEnds)
	defer cancel()
	_ = t.open.Rollback(ctx)
}
