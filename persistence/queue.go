package persistence

import (
	"context"
	"time"

	"singularity/workflow"
)

// Queues keep what operators say about queues, and count what is in them.
type Queues interface {
	// QueueSettings lists the queues of which an operator said anything, by name.
	QueueSettings(ctx context.Context) ([]QueueSettings, error)
	// SetQueue changes a queue's settings and returns all of them as they are now.
	// It makes the queue known if nothing was said of it before. Other processes
	// are told. A new path of the keys also gives the waiting runs their new keys,
	// in batches; runs that begin meanwhile keep those that they had.
	SetQueue(ctx context.Context, name string, change workflow.QueueChange) (QueueSettings, error)
	// PauseQueue keeps runs of the queue from beginning, from now on or no longer,
	// and reports whether that changed anything. Other processes are told.
	PauseQueue(ctx context.Context, name string, paused bool) (settings QueueSettings, changed bool, err error)
	// QueueStats counts the runs of each queue that has any which have not ended.
	QueueStats(ctx context.Context) ([]QueueStats, error)
}

// QueueSettings is what operators said of one queue.
type QueueSettings struct {
	Name     string
	PausedAt *time.Time
	workflow.QueueSettings
}

// QueueStats is what is in one queue.
type QueueStats struct {
	Queue                                    string
	Available, Running, Scheduled, Retryable int
	// Oldest is for how long the first available run has been due, on the clock of
	// the store; zero for none.
	Oldest time.Duration
}
