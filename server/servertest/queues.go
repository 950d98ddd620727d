package servertest

import (
	"context"
	"slices"

	"singularity/workflow"
)

// Queues implements [server.Engine].
func (e *Engine) Queues(context.Context) ([]workflow.Queue, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.QueueList), e.Err
}

// SetQueue implements [server.Engine].
func (e *Engine) SetQueue(_ context.Context, name string, change workflow.QueueChange) (workflow.Queue, error) {
	queue, _, err := e.changeQueue(name, func(queue *workflow.Queue) bool {
		apply(&queue.Settings.NodeLimit, change.NodeLimit)
		apply(&queue.Settings.GlobalLimit, change.GlobalLimit)
		apply(&queue.Settings.KeyPath, change.KeyPath)
		apply(&queue.Settings.KeyLimit, change.KeyLimit)
		apply(&queue.Settings.Rate, change.Rate)
		apply(&queue.Settings.Burst, change.Burst)
		apply(&queue.Settings.KeyRate, change.KeyRate)
		apply(&queue.Settings.KeyBurst, change.KeyBurst)
		apply(&queue.Settings.RetainCompleted, change.RetainCompleted)
		apply(&queue.Settings.RetainFailed, change.RetainFailed)
		return true
	})
	return queue, err
}

func apply[T any](setting, change *T) {
	if change != nil {
		*setting = *change
	}
}

// PauseQueue implements [server.Engine].
func (e *Engine) PauseQueue(_ context.Context, name string) (queue workflow.Queue, changed bool, err error) {
	return e.changeQueue(name, func(queue *workflow.Queue) bool {
		if queue.PausedAt != nil {
			return false
		}
		queue.PausedAt = &Epoch
		return true
	})
}

// ResumeQueue implements [server.Engine].
func (e *Engine) ResumeQueue(_ context.Context, name string) (queue workflow.Queue, changed bool, err error) {
	return e.changeQueue(name, func(queue *workflow.Queue) bool {
		changed := queue.PausedAt != nil
		queue.PausedAt = nil
		return changed
	})
}

// changeQueue makes the queue known if it is not.
func (e *Engine) changeQueue(name string, change func(*workflow.Queue) bool) (queue workflow.Queue, changed bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Err != nil {
		return workflow.Queue{}, false, e.Err
	}
	at := slices.IndexFunc(e.QueueList, func(queue workflow.Queue) bool { return queue.Name == name })
	unknown := at < 0
	if unknown {
		at = len(e.QueueList)
		e.QueueList = append(e.QueueList, workflow.Queue{Name: name})
	}
	changed = change(&e.QueueList[at])
	queue = e.QueueList[at]
	queue.New = unknown
	return queue, changed, nil
}
