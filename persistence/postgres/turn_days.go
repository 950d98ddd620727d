package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// fewRows is more than are moved to make or drop a day, while all others wait.
	fewRows = 250
	// turnPatience is how long a turn waits for those who use the checkpoints, and
	// lets others wait behind it; the next retention tries again.
	turnPatience = 250 * time.Millisecond
	// turnPause bounds each of its statements.
	turnPause = 2 * time.Second
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
	due, err := makeDays(spareLimit).find(ctx, s.readers)
	return len(due) > 0, translate(s.afterClose(err))
}

// turnDays drops the days of which little is left, makes those to come, and
// returns how many it dropped. On a disk that is full it does the first alone.
func (s *Store) turnDays(ctx context.Context) (dropped int, err error) {
	dropped, errDrop := s.turn(ctx, dropDays)
	_, errMake := s.turn(ctx, makeDays(spareLimit))
	return dropped, errors.Join(errDrop, errMake)
}

// turn takes a turn and returns how many days it changed: none if it would have
// to wait for others, or may not alter the checkpoints.
func (s *Store) turn(ctx context.Context, t turn) (changed int, err error) {
	if due, err := t.find(ctx, s.readers); err != nil || len(due) == 0 {
		return 0, translate(s.afterClose(err))
	}
	err = pgx.BeginTxFunc(ctx, s.readers, afresh, func(tx pgx.Tx) error {
		if err := lockCheckpoints(ctx, tx, turnPatience, turnPause); err != nil {
			return err
		}
		changed, err = t.take(ctx, tx)
		return err
	})
	switch {
	case codeOf(err) == lockNotAvailable, codeOf(err) == noPrivilege: // of which doctor tells
		return 0, nil
	case err != nil:
		return 0, translate(s.afterClose(err))
	}
	return changed, nil
}

// turn is what there is to do about some days.
type turn struct {
	candidates func(*Days) []Day
	condition  string // which of them
	do         func(ctx context.Context, tx pgx.Tx, day Day) error
}

var dropDays = turn{(*Days).over, fewKept, dropDay}

// makeDays makes those that are missing, unless more bytes than spare are of no
// known day: all of them are looked through.
func makeDays(spare int64) turn {
	return turn{func(d *Days) []Day {
		if d.Spare > spare {
			return nil
		}
		return d.Missing()
	}, fewIn, makeDay}
}

// find tells for which days there is something to do. That is sure only where
// nobody else has the checkpoints.
func (t turn) find(ctx context.Context, on queryer) (due []Day, err error) {
	days, err := readDays(ctx, on)
	if err != nil || days == nil {
		return nil, err
	}
	for _, day := range t.candidates(days) {
		var holds bool
		first, next := day.bounds()
		if err := on.QueryRow(ctx, t.condition, first, next, fewRows).Scan(&holds); err != nil {
			return nil, err
		}
		if holds {
			due = append(due, day)
		}
	}
	return due, nil
}

// take does it, in a transaction that has the checkpoints to itself, and returns
// for how many days.
func (t turn) take(ctx context.Context, tx pgx.Tx) (int, error) {
	due, err := t.find(ctx, tx)
	for _, day := range due {
		if err := t.do(ctx, tx, day); err != nil {
			return 0, fmt.Errorf("partition %s: %w", day.Table, err)
		}
	}
	return len(due), err
}

// afresh lets each statement see what was committed before it, above all while
// the transaction waited for the checkpoints.
var afresh = pgx.TxOptions{IsoLevel: pgx.ReadCommitted}

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
INSERT INTO %s TABLE moved`
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
WITH kept AS (
	DELETE FROM %s AS entry
	USING singularity.workflow_runs AS run
	WHERE entry.run_id = run.id AND run.id >= $1::uuid AND run.id < $2::uuid
	RETURNING entry.*
)
INSERT INTO singularity.step_checkpoints TABLE kept`
	if _, err := tx.Exec(ctx, fmt.Sprintf(keep, day.name()), first, next); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DROP TABLE `+day.name())
	return err
}
