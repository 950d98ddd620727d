package servertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"singularity/workflow"
)

// Schedules implements [server.Engine]: slots are an hour apart.
func (e *Engine) Schedules(_ context.Context, next int) ([]workflow.Schedule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := slices.Clone(e.ScheduleList)
	for i, schedule := range list {
		for n := range next {
			if schedule.NextSlot != nil {
				list[i].Next = append(list[i].Next, schedule.NextSlot.Add(time.Duration(n)*time.Hour))
			}
		}
	}
	return list, e.Err
}

// CreateSchedule implements [server.Engine].
func (e *Engine) CreateSchedule(_ context.Context, spec workflow.ScheduleSpec) (workflow.Schedule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Err != nil {
		return workflow.Schedule{}, e.Err
	}
	if e.scheduleAt(spec.Name) >= 0 {
		return workflow.Schedule{}, fmt.Errorf("create schedule %s: %w", spec.Name, workflow.ErrScheduleExists)
	}
	next := Epoch.Add(time.Hour)
	schedule := workflow.Schedule{ScheduleSpec: spec, NextSlot: &next, CreatedAt: Epoch, UpdatedAt: Epoch}
	e.ScheduleList = append(e.ScheduleList, schedule)
	return schedule, nil
}

// DeleteSchedule implements [server.Engine].
func (e *Engine) DeleteSchedule(_ context.Context, name string) error {
	_, err := e.changeSchedule(name, func(at int) { e.ScheduleList = slices.Delete(e.ScheduleList, at, at+1) })
	return err
}

// PauseSchedule implements [server.Engine].
func (e *Engine) PauseSchedule(_ context.Context, name string, paused bool) (workflow.Schedule, error) {
	return e.changeSchedule(name, func(at int) {
		schedule := &e.ScheduleList[at]
		next := Epoch.Add(time.Hour)
		schedule.PausedAt, schedule.NextSlot = nil, &next
		if paused {
			schedule.PausedAt, schedule.NextSlot = &Epoch, nil
		}
	})
}

// TriggerSchedule implements [server.Engine].
func (e *Engine) TriggerSchedule(ctx context.Context, name string, id workflow.RunID) (workflow.Pending, error) {
	schedule, err := e.changeSchedule(name, func(int) {})
	if err != nil {
		return nil, err
	}
	return e.StartRun(ctx, workflow.StartRequest{
		Workflow: schedule.Workflow, Input: schedule.Input, Options: workflow.Options{ID: id, Queue: schedule.Queue},
	})
}

// changeSchedule returns a schedule as it was before, or as it is if it is there
// afterwards.
func (e *Engine) changeSchedule(name string, change func(at int)) (workflow.Schedule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.scheduleAt(name)
	switch {
	case e.Err != nil:
		return workflow.Schedule{}, e.Err
	case at < 0:
		return workflow.Schedule{}, fmt.Errorf("schedule %s: %w", name, workflow.ErrScheduleNotFound)
	}
	schedule := e.ScheduleList[at]
	change(at)
	if at = e.scheduleAt(name); at >= 0 {
		schedule = e.ScheduleList[at]
	}
	return schedule, nil
}

func (e *Engine) scheduleAt(name string) int {
	return slices.IndexFunc(e.ScheduleList, func(schedule workflow.Schedule) bool { return schedule.Name == name })
}
