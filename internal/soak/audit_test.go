package soak

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"singularity/workflow"
)

// audit is the harness's own way into the database of the nodes: it has their
// history noted, and searches it for breaches.
type audit struct{ pool *pgxpool.Pool }

// newAudit begins to note what happens in a migrated database.
func newAudit(t testing.TB, url string) *audit {
	t.Helper()
	a := openAudit(t, url)
	if _, err := a.pool.Exec(t.Context(), noteHistory); err != nil {
		t.Fatalf("have the history noted: %v", err)
	}
	return a
}

// openAudit goes on with a database whose history is noted, such as a standby's.
func openAudit(t testing.TB, url string) *audit {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 2
	// Connections that are made again have nothing prepared.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &audit{pool}
}

// The history is noted in the transactions that make it, so it has what was
// committed, and when. What clients and the ledger know is added at the end.
const noteHistory = `
CREATE SCHEMA soak;

CREATE TABLE soak.changes (
	n           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	xid         xid NOT NULL DEFAULT pg_current_xact_id()::xid,
	begun_at    timestamptz NOT NULL DEFAULT now(), -- the transaction
	noted_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
	run         uuid NOT NULL,
	old_state   text,
	state       text NOT NULL,
	old_epoch   bigint,
	epoch       bigint NOT NULL,
	old_owner   text,
	owner       text,
	old_seq     bigint,
	seq         bigint NOT NULL,
	old_step    text,
	crash_count integer NOT NULL
);
CREATE INDEX ON soak.changes (run, seq);

CREATE FUNCTION soak.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO soak.changes (run, old_state, state, old_epoch, epoch, old_owner, owner, old_seq, seq, old_step, crash_count)
	VALUES (NEW.id, OLD.state, NEW.state, OLD.epoch, NEW.epoch, OLD.owner, NEW.owner, OLD.seq, NEW.seq, OLD.step, NEW.crash_count);
	RETURN NULL;
END $$;
CREATE TRIGGER soak_note_change AFTER INSERT OR UPDATE ON singularity.workflow_runs
	FOR EACH ROW EXECUTE FUNCTION soak.note_change();

CREATE TABLE soak.alterations (run uuid NOT NULL, seq bigint NOT NULL, verb text NOT NULL);

CREATE FUNCTION soak.note_alteration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO soak.alterations VALUES (OLD.run_id, OLD.seq, TG_OP);
	RETURN NULL;
END $$;
CREATE TRIGGER soak_note_alteration AFTER UPDATE OR DELETE ON singularity.step_checkpoints
	FOR EACH ROW EXECUTE FUNCTION soak.note_alteration();

CREATE TABLE soak.starts (run uuid PRIMARY KEY, outcome text NOT NULL);
CREATE TABLE soak.effects (key text NOT NULL, run uuid NOT NULL, step text NOT NULL, epoch bigint NOT NULL, pid integer NOT NULL);
CREATE INDEX ON soak.effects (run, step);
CREATE TABLE soak.steps (workflow text NOT NULL, step text NOT NULL);
INSERT INTO soak.steps VALUES ('load', 'first'), ('load', 'second'), ('load', 'third'), ('limited', 'first'), ('limited', 'second');

-- What a primary had acknowledged and its standby never got.
CREATE TABLE soak.lost_runs (run uuid PRIMARY KEY);
CREATE TABLE soak.lost_checkpoints (run uuid NOT NULL, step text NOT NULL);`

// evidence is what was known outside of the database.
type evidence struct {
	starts  map[workflow.RunID]outcome
	effects []Effect
}

// take puts the evidence beside the history.
func (a *audit) take(ctx context.Context, e evidence) error {
	if _, err := a.pool.Exec(ctx, `TRUNCATE soak.starts, soak.effects`); err != nil {
		return err
	}
	var starts, effects [][]any
	for run, outcome := range e.starts {
		starts = append(starts, []any{run.String(), string(outcome)})
	}
	for _, effect := range e.effects {
		effects = append(effects, []any{effect.Key, effect.Run, effect.Step, effect.Epoch, effect.PID})
	}
	if err := a.fill(ctx, "starts", []string{"run", "outcome"}, starts); err != nil {
		return err
	}
	return a.fill(ctx, "effects", []string{"key", "run", "step", "epoch", "pid"}, effects)
}

func (a *audit) fill(ctx context.Context, table string, columns []string, rows [][]any) error {
	if _, err := a.pool.CopyFrom(ctx, pgx.Identifier{"soak", table}, columns, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("fill soak.%s: %w", table, err)
	}
	return nil
}

// breaches searches the history and the evidence, for breaches of more than the
// usual invariants, too.
func (a *audit) breaches(ctx context.Context, more ...invariant) ([]breach, error) {
	var all []breach
	for _, i := range slices.Concat(invariants, more) {
		rows, err := a.pool.Query(ctx, i.query)
		if err != nil {
			return nil, fmt.Errorf("check that %s: %w", i.name, err)
		}
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (breach, error) {
			b := breach{Invariant: i.name}
			return b, row.Scan(&b.Run, &b.Detail)
		})
		if err != nil {
			return nil, fmt.Errorf("check that %s: %w", i.name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// one reads a single value.
func one[T any](ctx context.Context, a *audit, query string, args ...any) (value T, err error) {
	err = a.pool.QueryRow(ctx, query, args...).Scan(&value)
	return value, err
}

// list reads a single column.
func list[T any](ctx context.Context, a *audit, query string, args ...any) ([]T, error) {
	rows, err := a.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}
