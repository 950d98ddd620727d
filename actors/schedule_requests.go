package actors

import (
	"context"
	"fmt"
	"time"

	"singularity/internal/cron"
	"singularity/persistence"
	"singularity/workflow"
)

// maxNext is how many slots to come are told of a schedule.
const maxNext = 100

// Schedules lists all schedules by name, each with so many of its next slots.
func (n *Node) Schedules(ctx context.Context, next int) ([]workflow.Schedule, error) {
	if next < 0 || next > maxNext {
		return nil, workflow.Invalidf("next", "is %d; expected 0 to %d", next, maxNext)
	}
	list, _, err := n.store.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Next = nextSlots(list[i], next)
	}
	return list, nil
}

// nextSlots are the slots of a schedule from its next one on.
func nextSlots(schedule workflow.Schedule, count int) []time.Time {
	times, err := cron.Parse(schedule.Cron, schedule.TimeZone)
	if err != nil || schedule.NextSlot == nil || count == 0 {
		return nil
	}
	slots := []time.Time{*schedule.NextSlot}
	for times = times.From(schedule.CreatedAt); len(slots) < count; {
		slot, fires := times.Next(slots[len(slots)-1])
		if !fires {
			break
		}
		slots = append(slots, slot)
	}
	return slots
}

// CreateSchedule adds a schedule. One that is there already is
// workflow.ErrScheduleExists, unless it has the same settings.
func (n *Node) CreateSchedule(ctx context.Context, spec workflow.ScheduleSpec) (workflow.Schedule, error) {
	schedule, err := n.putSchedule(ctx, spec, false)
	if err != nil {
		return schedule, fmt.Errorf("create schedule %s: %w", spec.Name, err)
	}
	return schedule, nil
}

// PutSchedule makes a schedule what its settings say. One that has them already
// is left alone; of one with others its pause stays, and what it did.
func (n *Node) PutSchedule(ctx context.Context, spec workflow.ScheduleSpec) (workflow.Schedule, error) {
	schedule, err := n.putSchedule(ctx, spec, true)
	if err != nil {
		return schedule, fmt.Errorf("put schedule %s: %w", spec.Name, err)
	}
	return schedule, nil
}

func (n *Node) putSchedule(ctx context.Context, spec workflow.ScheduleSpec, replace bool) (workflow.Schedule, error) {
	checked, err := n.checkSpec(spec)
	if err != nil {
		return workflow.Schedule{}, err
	}
	return n.changeSchedule(ctx, spec.Name, checked.put(replace))
}

// PauseSchedule keeps a schedule from firing, or lets it go on from now: slots
// that passed meanwhile are not caught up with.
func (n *Node) PauseSchedule(ctx context.Context, name string, paused bool) (workflow.Schedule, error) {
	return n.changeSchedule(ctx, name, pauseSchedule(paused))
}

// DeleteSchedule ends a schedule; its runs go on.
func (n *Node) DeleteSchedule(ctx context.Context, name string) error {
	_, err := n.changeSchedule(ctx, name, deleteSchedule)
	return err
}

func (n *Node) changeSchedule(ctx context.Context, name string, decide persistence.Decide) (workflow.Schedule, error) {
	after, err := n.store.ChangeSchedule(ctx, name, decide)
	if err != nil {
		return workflow.Schedule{}, err
	}
	n.scheduleChanged(name)
	if after == nil {
		return workflow.Schedule{}, nil
	}
	return *after, nil
}

// TriggerSchedule starts a run of a schedule now, beside those of its slots. The
// id is the run's; zero for a fresh one.
func (n *Node) TriggerSchedule(ctx context.Context, name string, id workflow.RunID) (workflow.Pending, error) {
	pending, err := n.triggerSchedule(ctx, name, id)
	if err != nil {
		return nil, fmt.Errorf("trigger schedule %s: %w", name, err)
	}
	return pending, nil
}

func (n *Node) triggerSchedule(ctx context.Context, name string, id workflow.RunID) (workflow.Pending, error) {
	list, _, err := n.store.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	for _, schedule := range list {
		if schedule.Name != name {
			continue
		}
		m, ended, err := n.acceptScheduled(schedule.ScheduleSpec, id)
		if err != nil {
			return nil, err
		}
		answer, err := n.ask(ctx, m)
		if err != nil {
			return nil, err
		}
		return n.pending(m, answer, ended), nil
	}
	return nil, workflow.ErrScheduleNotFound
}
