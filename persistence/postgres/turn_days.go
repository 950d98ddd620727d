package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// fewRows is how many checkpoints are moved to make or drop a day, while all
	// others wait.
	fewRows = 1000
	// turnPatience is how long making and dropping days waits for whoever uses
	// the checkpoints, and makes others wait behind it; the next retention tries again.
	turnPatience = 250 * time.Millisecond
)

// A day may be made when few of its rows are among those of no known day.
const fewIn = `
SELECT count(*) < $3
FROM (
	SELECT FROM singularity.step_checkpoints WHERE run_id >= $1::uuid AND run_id < $2::uuid LIMIT $3
) AS entry`

// A day may be dropped when few of its rows are of runs that are still there.
const fewKept = `
SELECT count(*) < $3
FROM (
	SELECT
	FROM singularity.workflow_runs AS run
	JOIN singularity.step_checkpoints AS entry ON entry.run_id = run.id
	WHERE run.id >= $1::uuid AND run.id < $2::uuid
	LIMIT $3
) AS kept`

// queryer is a connection, a pool of them or a transaction.
type queryer interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// daysAreDue reports whether there are days to make.
func (s *Store) daysAreDue(ctx context.Context) (bool, error) {
	days, err := readDays(ctx, s.readers)
	if err != nil || days == nil {
		return false, translate(s.afterClose(err))
	}
	due, err := days.toMake(ctx, s.readers, spareLimit)
	return len(due) > 0, translate(s.afterClose(err))
}

// turnDays makes the days to come and drops those of which little is left, and
// returns how many it dropped.
func (s *Store) turnDays(ctx context.Context) (dropped int, err error) {
	plan, err := planTurn(ctx, s.readers, spareLimit)
	if err != nil || plan.empty() {
		return 0, translate(s.afterClose(err))
	}
	err = pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		if err := lockCheckpoints(ctx, tx, turnPatience, statementTimeout); err != nil {
			return err
		}
		if plan, err = planTurn(ctx, tx, spareLimit); err != nil {
			return err
		}
		return plan.apply(ctx, tx)
	})
	switch {
	case codeOf(err) == lockNotAvailable:
		return 0, nil
	case err != nil:
		return 0, translate(s.afterClose(err))
	}
	return len(plan.drop), nil
}

// turn is what there is to do about days.
type turn struct{ make, drop []Day }

func (t turn) empty() bool { return len(t.make)+len(t.drop) == 0 }

// planTurn finds what there is to do. It is sure of it only where it has the
// checkpoints to itself.
func planTurn(ctx context.Context, on queryer, spare int64) (plan turn, err error) {
	days, err := readDays(ctx, on)
	if err != nil || days == nil {
		return plan, err
	}
	if plan.make, err = days.toMake(ctx, on, spare); err != nil {
		return plan, err
	}
	plan.drop, err = those(ctx, on, fewKept, days.over())
	return plan, err
}

// toMake are the days that are missing, unless much of them is among what is of
// no known day, or that is more than so many bytes: all of it is looked through.
func (d *Days) toMake(ctx context.Context, on queryer, spare int64) ([]Day, error) {
	if d.Spare > spare {
		return nil, nil
	}
	return those(ctx, on, fewIn, d.Missing())
}

// those are the days for which a condition holds.
func those(ctx context.Context, on queryer, condition string, days []Day) (list []Day, err error) {
	for _, day := range days {
		var holds bool
		first, next := day.bounds()
		if err := on.QueryRow(ctx, condition, first, next, fewRows).Scan(&holds); err != nil {
			return nil, err
		}
		if holds {
			list = append(list, day)
		}
	}
	return list, nil
}

func (t turn) apply(ctx context.Context, tx pgx.Tx) error {
	for _, day := range t.drop {
		if err := dropDay(ctx, tx, day); err != nil {
			return fmt.Errorf("drop %s: %w", day.Table, err)
		}
	}
	for _, day := range t.make {
		if err := makeDay(ctx, tx, day); err != nil {
			return fmt.Errorf("make %s: %w", day.Table, err)
		}
	}
	return nil
}

// ownerOfCheckpoints is who may alter them.
const ownerOfCheckpoints = `SELECT set_config('role', pg_get_userbyid(relowner), true) FROM pg_class WHERE oid = 'singularity.step_checkpoints'::regclass`

// lockCheckpoints has the checkpoints to itself until the transaction ends. A run
// is inserted by statements that hold the table from before they see or write
// anything, so that none is about to be.
func lockCheckpoints(ctx context.Context, tx pgx.Tx, wait, work time.Duration) error {
	for name, limit := range map[string]time.Duration{"lock_timeout": wait, "statement_timeout": work} {
		if _, err := tx.Exec(ctx, `SELECT set_config($1, $2, true)`, name, millis(limit)); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, ownerOfCheckpoints); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `LOCK TABLE ONLY singularity.step_checkpoints`)
	return err
}

// checkpointsTable makes a table like that of all checkpoints, of a name that is
// put in.
const checkpointsTable = `
CREATE TABLE %s (LIKE singularity.step_checkpoints INCLUDING DEFAULTS)
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.5)`

// makeDay makes the partition of a day, and moves what there is of it.
func makeDay(ctx context.Context, tx pgx.Tx, day Day) error {
	first, next := day.bounds()
	if _, err := tx.Exec(ctx, fmt.Sprintf(checkpointsTable, day.name())); err != nil {
		return err
	}
	const move = `
WITH moved AS (
	DELETE FROM singularity.step_checkpoints WHERE run_id >= $1::uuid AND run_id < $2::uuid RETURNING *
)
INSERT INTO %s SELECT * FROM moved`
	if _, err := tx.Exec(ctx, fmt.Sprintf(move, day.name()), first, next); err != nil {
		return err
	}
	const attach = `ALTER TABLE singularity.step_checkpoints ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`
	_, err := tx.Exec(ctx, fmt.Sprintf(attach, day.name(), first, next))
	return err
}

// dropDay drops the partition of a day. What is of runs that are still there
// goes to the checkpoints of no known day.
func dropDay(ctx context.Context, tx pgx.Tx, day Day) error {
	first, next := day.bounds()
	if _, err := tx.Exec(ctx, `ALTER TABLE singularity.step_checkpoints DETACH PARTITION `+day.name()); err != nil {
		return err
	}
	const keep = `
INSERT INTO singularity.step_checkpoints
SELECT entry.*
FROM singularity.workflow_runs AS run
JOIN %s AS entry ON entry.run_id = run.id
WHERE run.id >= $1::uuid AND run.id < $2::uuid`
	if _, err := tx.Exec(ctx, fmt.Sprintf(keep, day.name()), first, next); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DROP TABLE `+day.name())
	return err
}
