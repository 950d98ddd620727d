package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/workflow"
)

const scheduleColumns = `
	schedule.name, schedule.workflow, schedule.cron, schedule.time_zone, schedule.input, schedule.queue, schedule.priority,
	schedule.catch_up, schedule.overlap, schedule.paused_at, schedule.last_slot, schedule.last_run,
	coalesce(schedule.last_error, ''), schedule.next_slot, schedule.created_at, schedule.updated_at`

// scanSchedule reads a schedule, and what else is in the row behind it.
func scanSchedule(row scanner, more ...any) (workflow.Schedule, error) {
	var s workflow.Schedule
	var run *[16]byte
	err := row.Scan(append([]any{
		&s.Name, &s.Workflow, &s.Cron, &s.TimeZone, (*[]byte)(&s.Input), &s.Queue, &s.Priority,
		(*string)(&s.CatchUp), (*string)(&s.Overlap), &s.PausedAt, &s.LastSlot, &run,
		&s.LastError, &s.NextSlot, &s.CreatedAt, &s.UpdatedAt,
	}, more...)...)
	if run != nil {
		s.LastRun = *run
	}
	inUTC(&s.CreatedAt, &s.UpdatedAt, s.PausedAt, s.LastSlot, s.NextSlot)
	return s, err
}

const listSchedules = `
SELECT ` + scheduleColumns + `, clock_timestamp()
FROM singularity.schedules AS schedule
ORDER BY schedule.name COLLATE "C"`

// Schedules implements [persistence.Schedules].
func (s *Store) Schedules(ctx context.Context) (list []workflow.Schedule, at time.Time, err error) {
	err = s.query(ctx, func(row scanner) error {
		schedule, err := scanSchedule(row, &at)
		list = append(list, schedule)
		return err
	}, listSchedules)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("list schedules: %w", err)
	}
	return list, at.UTC(), nil
}

const viewSchedule = `
SELECT ` + scheduleColumns + `, clock_timestamp(),
	EXISTS (SELECT FROM singularity.workflow_runs AS run WHERE run.id = schedule.last_run AND run.finished_at IS NULL)
FROM singularity.schedules AS schedule
WHERE schedule.name = $1
FOR NO KEY UPDATE OF schedule`

// The time of a database is there without a schedule, too.
const timeAlone = `
SELECT clock_timestamp()`

// ChangeSchedule implements [persistence.Schedules].
func (s *Store) ChangeSchedule(ctx context.Context, name string, decide persistence.Decide) (*workflow.Schedule, error) {
	var after persistence.ScheduleView
	change := func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitLockWait); err != nil {
			return err
		}
		view, err := lookAtSchedule(ctx, tx, viewSchedule, name)
		if err == nil && view.Schedule == nil {
			err = tx.QueryRow(ctx, timeAlone).Scan(&view.Now)
		}
		if err != nil {
			return err
		}
		decision, err := decide(view)
		if err == nil {
			after, err = perform(ctx, tx, view, decision)
		}
		if err == nil && (decision.Delete || decision.Schedule != nil) {
			_, err = tx.Exec(ctx, tellSchedule, name)
		}
		return err
	}
	err := errMadeMeanwhile
	for errors.Is(err, errMadeMeanwhile) {
		err = pgx.BeginFunc(ctx, s.readers, change)
	}
	if err != nil {
		return nil, fmt.Errorf("change schedule %s: %w", name, translate(s.afterClose(err)))
	}
	return after.Schedule, nil
}

// FireSchedule implements [persistence.Schedules].
func (s *Store) FireSchedule(ctx context.Context, name string, decide persistence.Decide) (after persistence.ScheduleView, done bool, err error) {
	err = pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		view, err := lookAtSchedule(ctx, tx, viewSchedule+` SKIP LOCKED`, name)
		if done = view.Schedule != nil; err != nil || !done {
			return err
		}
		decision, err := decide(view)
		if err == nil {
			after, err = perform(ctx, tx, view, decision)
		}
		return err
	})
	if err != nil {
		return persistence.ScheduleView{}, false, fmt.Errorf("fire schedule %s: %w", name, translate(s.afterClose(err)))
	}
	return after, done, nil
}

// lookAtSchedule locks a schedule, if it is there.
func lookAtSchedule(ctx context.Context, tx pgx.Tx, query, name string) (view persistence.ScheduleView, err error) {
	rows, _ := tx.Query(ctx, query, name)
	err = scanAll(rows, func(row scanner) error {
		schedule, err := scanSchedule(row, &view.Now, &view.Busy)
		view.Schedule = &schedule
		return err
	})
	view.Now = view.Now.UTC()
	return view, err
}

const tellSchedule = `
SELECT pg_notify('` + schedulesChannel + `', $1)`

const deleteSchedule = `
DELETE FROM singularity.schedules
WHERE name = $1`

// perform does what was decided on a view, and returns how the schedule stands
// then.
func perform(ctx context.Context, tx pgx.Tx, view persistence.ScheduleView, decision persistence.ScheduleDecision) (persistence.ScheduleView, error) {
	err := insertScheduled(ctx, tx, decision.Runs)
	switch {
	case err != nil:
	case decision.Delete && view.Schedule != nil:
		_, err = tx.Exec(ctx, deleteSchedule, view.Schedule.Name)
		view.Schedule = nil
	case decision.Schedule != nil:
		err = putSchedule(ctx, tx, decision.Schedule, view.Schedule == nil)
		view.Schedule = decision.Schedule
	}
	return view, err
}

func insertScheduled(ctx context.Context, tx pgx.Tx, inserts []persistence.Insert) error {
	writes := make([]persistence.Write, len(inserts))
	for i, insert := range inserts {
		writes[i] = insert
	}
	c, err := sortOut(writes)
	if err == nil {
		err = c.queueInserts()
	}
	if err == nil {
		err = within(ctx, tx, c.queries)
	}
	for _, verdict := range c.verdicts {
		if err == nil && !errors.Is(verdict.Err, persistence.ErrSlotTaken) {
			err = verdict.Err
		}
	}
	return err
}

const insertSchedule = `
INSERT INTO singularity.schedules (
	name, workflow, cron, time_zone, input, queue, priority, catch_up, overlap,
	paused_at, last_slot, last_run, last_error, next_slot, created_at, updated_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13, ''), $14, $15, $16)
ON CONFLICT DO NOTHING`

const updateSchedule = `
UPDATE singularity.schedules
SET workflow = $2, cron = $3, time_zone = $4, input = $5, queue = $6, priority = $7, catch_up = $8, overlap = $9,
	paused_at = $10, last_slot = $11, last_run = $12, last_error = nullif($13, ''), next_slot = $14,
	created_at = $15, updated_at = $16
WHERE name = $1`

// errMadeMeanwhile: another transaction has made the schedule, which did not
// show.
var errMadeMeanwhile = fmt.Errorf("%w: somebody else has made the schedule just now", workflow.ErrUnavailable)

func putSchedule(ctx context.Context, tx pgx.Tx, s *workflow.Schedule, isNew bool) error {
	statement := updateSchedule
	if isNew {
		statement = insertSchedule
	}
	var run *[16]byte
	if !s.LastRun.IsZero() {
		run = (*[16]byte)(&s.LastRun)
	}
	done, err := tx.Exec(ctx, statement,
		s.Name, s.Workflow, s.Cron, s.TimeZone, string(s.Input), s.Queue, s.Priority, string(s.CatchUp), string(s.Overlap),
		s.PausedAt, s.LastSlot, run, s.LastError, s.NextSlot, s.CreatedAt, s.UpdatedAt)
	if err == nil && done.RowsAffected() == 0 {
		err = errMadeMeanwhile
	}
	return err
}
