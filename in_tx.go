package singularity

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// Transaction starts runs in a transaction of the caller's. It is made by
// [Engine.InTx], and lasts as long as the transaction.
type Transaction struct {
	engine *Engine
	tx     pgx.Tx
}

var _ workflow.Engine = (*Transaction)(nil)

// InTx makes starts part of an open transaction on the engine's Postgres
// database: the run is there once the transaction commits, and never if it does
// not. A node hears of it with the commit.
//
//	run, err := orders.Start(ctx, engine.InTx(tx), order)
//	err = tx.Commit(ctx)
//	out, err := run.Wait(ctx)
//
// A start whose key another open transaction has taken waits for that one. Like
// the transaction, it is for one goroutine at a time.
func (e *Engine) InTx(tx pgx.Tx) *Transaction { return &Transaction{engine: e, tx: tx} }

var errNoTransactions = errors.New("the engine keeps its runs in no Postgres database that a transaction could be on; open it with DatabaseURL")

// StartRun implements [workflow.Engine]. Go callers use Start of a workflow.
func (t *Transaction) StartRun(ctx context.Context, req workflow.StartRequest) (workflow.Pending, error) {
	return t.engine.node.StartRunBy(ctx, req, func(ctx context.Context, insert persistence.Insert) (persistence.Verdict, error) {
		store, ok := t.engine.store.(*postgres.Store)
		if !ok {
			return persistence.Verdict{}, errNoTransactions
		}
		return store.InsertTx(ctx, t.tx, insert)
	})
}

// PendingRun implements [workflow.Engine]. It finds runs that are committed.
func (t *Transaction) PendingRun(ctx context.Context, id workflow.RunID) (workflow.Pending, error) {
	return t.engine.PendingRun(ctx, id)
}
