package singularity

import (
	"context"

	"singularity/workflow"
)

// PutSchedule makes a schedule what its settings say, as [Config.Schedules] does:
// one that has them already is left alone. Any number of engines may put the same.
func (e *Engine) PutSchedule(ctx context.Context, spec workflow.ScheduleSpec) (workflow.Schedule, error) {
	return e.node.PutSchedule(ctx, spec)
}

// CreateSchedule adds a schedule. Where there is one of the name with other
// settings it is workflow.ErrScheduleExists.
func (e *Engine) CreateSchedule(ctx context.Context, spec workflow.ScheduleSpec) (workflow.Schedule, error) {
	return e.node.CreateSchedule(ctx, spec)
}

// Schedules lists all schedules by name, each with so many of its next slots, 100
// at most.
func (e *Engine) Schedules(ctx context.Context, next int) ([]workflow.Schedule, error) {
	return e.node.Schedules(ctx, next)
}

// DeleteSchedule ends a schedule. Its runs go on.
func (e *Engine) DeleteSchedule(ctx context.Context, name string) error {
	return e.node.DeleteSchedule(ctx, name)
}

// PauseSchedule keeps a schedule from firing, or lets it go on with its next
// slot. Slots that pass while it is paused are not caught up with.
func (e *Engine) PauseSchedule(ctx context.Context, name string, paused bool) (workflow.Schedule, error) {
	return e.node.PauseSchedule(ctx, name, paused)
}

// TriggerSchedule starts a run of a schedule now, on its input and beside the
// runs of its slots, whether it is paused or not. The id is as in
// workflow.Options.
func (e *Engine) TriggerSchedule(ctx context.Context, name string, id workflow.RunID) (workflow.Pending, error) {
	return e.node.TriggerSchedule(ctx, name, id)
}
