package pgmq

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"singularity/migrations"
)

// pgmqStep is the number of the migration that is for databases without pgmq.
const pgmqStep = 1

// install sees to it that a database has pgmq. It asks each time, since an
// extension may go as it came.
func install(ctx context.Context, tx pgx.Tx, step migrations.Step) error {
	there, err := look(ctx, tx)
	if err != nil {
		return err
	}
	next, err := there.next()
	if err != nil {
		return err
	}
	return next.take(ctx, tx, step)
}

// take brings pgmq into a database by one way.
func (w way) take(ctx context.Context, tx pgx.Tx, step migrations.Step) error {
	switch w {
	case useIt:
		return nil
	case tryExtension:
		if err := createExtension(ctx, tx); !notAllowed(err) {
			return err
		}
	}
	return run(ctx, tx, step.Up)
}

// notAllowed reports that a role may not create an extension, or that the
// server does not let anybody.
func notAllowed(err error) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (refusal.Code == noPrivilege || refusal.Code == notSupported)
}

// createExtension leaves the transaction usable when it is refused.
func createExtension(ctx context.Context, tx pgx.Tx) error {
	return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE EXTENSION pgmq`); err != nil {
			return fmt.Errorf("create the extension pgmq: %w", err)
		}
		return nil
	})
}

// uninstall removes our functions, with all queues. Others' stay.
func uninstall(ctx context.Context, tx pgx.Tx, step migrations.Step) error {
	there, err := look(ctx, tx)
	if err != nil || !there.ours() {
		return err
	}
	return run(ctx, tx, step.Down)
}

// run executes any number of statements.
func run(ctx context.Context, tx pgx.Tx, statements string) error {
	_, err := tx.Exec(ctx, statements, pgx.QueryExecModeSimpleProtocol)
	return err
}
