package singularity

import (
	"context"

	"singularity/workflow"
)

// Queues lists the queues by name, with their settings and what is in them over
// all engines: those that this engine is configured for, that an operator set or
// paused, or that have runs which have not ended.
func (e *Engine) Queues(ctx context.Context) ([]workflow.Queue, error) { return e.node.Queues(ctx) }

// SetQueue changes the settings of a queue on all engines, and returns the queue
// without counts. One that no engine is configured for gets slots on each. What
// runs goes on, also beyond a lower limit. Settings that do not go together are a
// *workflow.InputError that names the field.
//
// Other engines follow within milliseconds, or with the next renewal of their
// lease, a second later, when they did not hear of it; until then they may begin
// runs as before.
func (e *Engine) SetQueue(ctx context.Context, name string, change workflow.QueueChange) (workflow.Queue, error) {
	return e.node.SetQueue(ctx, name, change)
}

// PauseQueue keeps the runs of a queue from beginning, on all engines, until
// ResumeQueue, whatever restarts in between. Those that run go on. It reports
// whether that changed anything.
func (e *Engine) PauseQueue(ctx context.Context, name string) (queue workflow.Queue, changed bool, err error) {
	return e.node.PauseQueue(ctx, name)
}

// ResumeQueue ends PauseQueue.
func (e *Engine) ResumeQueue(ctx context.Context, name string) (queue workflow.Queue, changed bool, err error) {
	return e.node.ResumeQueue(ctx, name)
}
