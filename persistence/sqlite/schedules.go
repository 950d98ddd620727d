package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var _ persistence.Schedules = connections{}

const scheduleColumns = `name, workflow, cron, time_zone, input, queue, priority, catch_up, overlap,
	paused_at, last_slot, last_run, coalesce(last_error, ''), next_slot, created_at, updated_at`

// scanSchedule reads a schedule, and what else is in the row behind it.
func scanSchedule(row scanner, more ...any) (workflow.Schedule, error) {
	var s workflow.Schedule
	var input []byte
	var paused, last, next sql.NullInt64
	var run sql.NullString
	var created, updated int64
	dest := append([]any{
		&s.Name, &s.Workflow, &s.Cron, &s.TimeZone, &input, &s.Queue, &s.Priority, &s.CatchUp, &s.Overlap,
		&paused, &last, &run, &s.LastError, &next, &created, &updated,
	}, more...)
	if err := row.Scan(dest...); err != nil {
		return s, err
	}
	s.Input = input
	s.PausedAt, s.LastSlot, s.NextSlot = moments(paused), moments(last), moments(next)
	s.CreatedAt, s.UpdatedAt = moment(created), moment(updated)
	if !run.Valid {
		return s, nil
	}
	var err error
	s.LastRun, err = workflow.ParseRunID(run.String)
	return s, err
}

const listSchedules = `
SELECT ` + scheduleColumns + `
FROM schedules
ORDER BY name`

// Schedules implements [persistence.Schedules].
func (c connections) Schedules(ctx context.Context) ([]workflow.Schedule, time.Time, error) {
	var list []workflow.Schedule
	at := moment(now())
	err := c.readers.query(ctx, func(row scanner) error {
		schedule, err := scanSchedule(row)
		list = append(list, schedule)
		return err
	}, listSchedules)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("list schedules: %w", err)
	}
	return list, at, nil
}

// ChangeSchedule implements [persistence.Schedules].
func (c connections) ChangeSchedule(ctx context.Context, name string, decide persistence.Decide) (*workflow.Schedule, error) {
	var after persistence.ScheduleView
	err := c.writer.transaction(ctx, func(t *tx) (err error) {
		before, err := t.scheduleView(name)
		if err == nil {
			after, err = t.decide(before, decide)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("change schedule %s: %w", name, err)
	}
	return after.Schedule, nil
}

// FireSchedule implements [persistence.Schedules]. Nobody else can be at it.
func (c connections) FireSchedule(ctx context.Context, name string, decide persistence.Decide) (after persistence.ScheduleView, done bool, err error) {
	err = c.writer.transaction(ctx, func(t *tx) error {
		before, err := t.scheduleView(name)
		if err != nil || before.Schedule == nil {
			return err
		}
		done = true
		after, err = t.decide(before, decide)
		return err
	})
	if err != nil {
		return persistence.ScheduleView{}, false, fmt.Errorf("fire schedule %s: %w", name, err)
	}
	return after, done, nil
}

const viewSchedule = `
SELECT ` + scheduleColumns + `,
	EXISTS (SELECT 1 FROM workflow_runs AS run WHERE run.id = schedules.last_run AND run.finished_at IS NULL)
FROM schedules
WHERE name = ?`

func (t *tx) scheduleView(name string) (persistence.ScheduleView, error) {
	view := persistence.ScheduleView{Now: moment(t.at)}
	err := t.query(func(row scanner) error {
		schedule, err := scanSchedule(row, &view.Busy)
		view.Schedule = &schedule
		return err
	}, viewSchedule, name)
	return view, err
}

const deleteSchedule = `
DELETE FROM schedules
WHERE name = ?`

// decide does what a decision says, and returns how the schedule stands then.
func (t *tx) decide(view persistence.ScheduleView, decide persistence.Decide) (persistence.ScheduleView, error) {
	decision, err := decide(view)
	if err != nil {
		return view, err
	}
	for _, insert := range decision.Runs {
		if err := persistence.Check(insert); err != nil {
			return view, err
		}
		verdict, err := t.insert(insert)
		if err == nil && !errors.Is(verdict.Err, persistence.ErrSlotTaken) {
			err = verdict.Err
		}
		if err != nil {
			return view, err
		}
	}
	switch {
	case decision.Delete && view.Schedule != nil:
		_, err = t.exec(deleteSchedule, view.Schedule.Name)
		view.Schedule = nil
	case decision.Schedule != nil:
		err = t.putSchedule(decision.Schedule)
		view.Schedule = decision.Schedule
	}
	return view, err
}

const upsertSchedule = `
INSERT INTO schedules (
	name, workflow, cron, time_zone, input, queue, priority, catch_up, overlap,
	paused_at, last_slot, last_run, last_error, next_slot, created_at, updated_at
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE
SET workflow = excluded.workflow, cron = excluded.cron, time_zone = excluded.time_zone, input = excluded.input,
	queue = excluded.queue, priority = excluded.priority, catch_up = excluded.catch_up, overlap = excluded.overlap,
	paused_at = excluded.paused_at, last_slot = excluded.last_slot, last_run = excluded.last_run,
	last_error = excluded.last_error, next_slot = excluded.next_slot,
	created_at = excluded.created_at, updated_at = excluded.updated_at`

func (t *tx) putSchedule(s *workflow.Schedule) error {
	var run any
	if !s.LastRun.IsZero() {
		run = s.LastRun.String()
	}
	_, err := t.exec(upsertSchedule,
		s.Name, s.Workflow, s.Cron, s.TimeZone, document(s.Input), s.Queue, s.Priority, string(s.CatchUp), string(s.Overlap),
		microsOrNil(s.PausedAt), microsOrNil(s.LastSlot), run, text(s.LastError), microsOrNil(s.NextSlot),
		s.CreatedAt.UnixMicro(), s.UpdatedAt.UnixMicro())
	return err
}
