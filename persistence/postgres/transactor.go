package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

var _ persistence.Transactor = (*Store)(nil)

type txKey struct{}

// Tx is the transaction of a transactional step, which commits together with
// the step's checkpoint; the step itself cannot end it, and returns an error to
// have it rolled back. Outside of such a step there is none.
func Tx(ctx context.Context) (pgx.Tx, bool) {
	tx, ok := ctx.Value(txKey{}).(lent)
	return tx, ok
}

// lent is the transaction as a step has it.
type lent struct{ pgx.Tx }

// Commit implements [pgx.Tx] by refusing.
func (lent) Commit(context.Context) error { return errNotTheSteps }

// Rollback implements [pgx.Tx] by refusing.
func (lent) Rollback(context.Context) error { return errNotTheSteps }

var errNotTheSteps = errors.New("a transactional step does not end its transaction: it commits with the step's checkpoint; return an error to have it rolled back")

// Begin implements [persistence.Transactor].
func (s *Store) Begin(ctx context.Context) (context.Context, persistence.StepTransaction, error) {
	tx, err := s.steps.Begin(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("begin a step's transaction: %w", translate(s.afterClose(err)))
	}
	return context.WithValue(ctx, txKey{}, lent{tx}), &stepTransaction{store: s, tx: tx}, nil
}

// stepTransaction is the open transaction of one attempt of a step.
type stepTransaction struct {
	store *Store
	tx    pgx.Tx
}

// endPatience bounds the end of a step's transaction, which goes on when the
// step's context ends.
const endPatience = statementTimeout + 5*time.Second

// Commit implements [persistence.StepTransaction]. The fenced update is the
// last statement before the commit, so that the run's row is held no longer
// than a checkpoint holds it.
func (t *stepTransaction) Commit(ctx context.Context, checkpoint persistence.Advance) (persistence.Verdict, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	verdict, err := t.advance(ctx, checkpoint)
	if err != nil || verdict.Err != nil {
		_ = t.tx.Rollback(ctx) // an error of it ends the connection, and the transaction with it
		if err != nil {
			err = fmt.Errorf("checkpoint run %s in its step's transaction: %w", checkpoint.Run, translate(err))
		}
		return verdict, err
	}
	if err := t.tx.Commit(ctx); err != nil {
		if codeOf(err) == "" || isFatal(err) {
			return persistence.Verdict{}, unknown(err)
		}
		return persistence.Verdict{}, fmt.Errorf("commit the step of run %s: %w", checkpoint.Run, translate(err))
	}
	return verdict, nil
}

// advance adds the checkpoint to the transaction.
func (t *stepTransaction) advance(ctx context.Context, checkpoint persistence.Advance) (persistence.Verdict, error) {
	c, err := sortOut([]persistence.Write{checkpoint})
	if err != nil {
		return persistence.Verdict{}, err
	}
	for _, queue := range []func() error{c.queueInboxes, c.queueAdvances} {
		if err := queue(); err != nil {
			return persistence.Verdict{}, err
		}
	}
	if err := within(ctx, t.tx, c.queries); err != nil {
		return persistence.Verdict{}, err
	}
	return c.verdicts[0], nil
}

// Rollback implements [persistence.StepTransaction].
func (t *stepTransaction) Rollback(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	if err := t.tx.Rollback(ctx); err != nil {
		return fmt.Errorf("roll a step's transaction back: %w", translate(err))
	}
	return nil
}

// within runs queries in a transaction that somebody else began, one after the
// other.
func within(ctx context.Context, tx pgx.Tx, queries []query) error {
	conn := tx.Conn()
	for _, q := range queries {
		reader := conn.PgConn().ExecParams(ctx, q.sql, q.params, nil, binaryForm, binaryForm)
		if err := scanAll(pgx.RowsFromResultReader(conn.TypeMap(), reader), q.row); err != nil {
			return fmt.Errorf("statement %s: %w", q.name, err)
		}
	}
	return nil
}
