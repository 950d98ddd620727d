package persistence

import (
	"context"
	"math"
	"time"

	"singularity/workflow"
)

// Queues keep what operators say about queues, and count what is in them.
type Queues interface {
	// QueueSettings lists the queues of which an operator said anything, by name.
	QueueSettings(ctx context.Context) ([]QueueSettings, error)
	// SetQueue changes a queue's settings and returns all of them as they are now.
	// It makes the queue known if nothing was said of it before. Other processes
	// are told. Settings that do not go together are a *workflow.InputError. A new
	// path of the keys also gives the waiting runs their new keys, in batches; runs
	// that begin meanwhile keep those that they had.
	SetQueue(ctx context.Context, name string, change workflow.QueueChange) (QueueSettings, error)
	// PauseQueue keeps runs of the queue from beginning, from now on or no longer,
	// and reports whether that changed anything. Other processes are told.
	PauseQueue(ctx context.Context, name string, paused bool) (settings QueueSettings, changed bool, err error)
	// QueueStats counts the runs of each queue that has any which have not ended. Of
	// those that are due, and of those that are due later, it may stop at
	// [workflow.MostCounted], and tell only the next ten thousand of the latter apart.
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

// Bounds of a queue's settings.
const (
	maxQueueLimit = 1_000_000
	maxQueueRate  = 1_000_000.0
	maxRetain     = 2_000_000_000 // seconds
)

// ChangedQueue is what settings become by a change, or a *workflow.InputError
// that names the field which cannot be so.
func ChangedQueue(settings workflow.QueueSettings, change workflow.QueueChange) (workflow.QueueSettings, error) {
	set(&settings.NodeLimit, change.NodeLimit)
	set(&settings.GlobalLimit, change.GlobalLimit)
	set(&settings.KeyPath, change.KeyPath)
	set(&settings.KeyLimit, change.KeyLimit)
	set(&settings.Rate, change.Rate)
	set(&settings.Burst, change.Burst)
	set(&settings.KeyRate, change.KeyRate)
	set(&settings.KeyBurst, change.KeyBurst)
	set(&settings.RetainCompleted, change.RetainCompleted)
	set(&settings.RetainFailed, change.RetainFailed)
	return settings, checkQueue(settings)
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func checkQueue(s workflow.QueueSettings) error {
	for _, limit := range []struct {
		field string
		value int
	}{
		{"node_limit", s.NodeLimit}, {"global_limit", s.GlobalLimit}, {"key_limit", s.KeyLimit},
		{"burst", s.Burst}, {"key_burst", s.KeyBurst},
	} {
		if limit.value < 0 || limit.value > maxQueueLimit {
			return workflow.Invalidf(limit.field, "is %d; expected 1 to %d, or 0 for none", limit.value, maxQueueLimit)
		}
	}
	for _, age := range []struct {
		field string
		value int
	}{{"retain_completed_seconds", s.RetainCompleted}, {"retain_failed_seconds", s.RetainFailed}} {
		if age.value < 0 || age.value > maxRetain {
			return workflow.Invalidf(age.field, "is %d; expected 1 to %d, or 0 for what the nodes were told", age.value, maxRetain)
		}
	}
	for _, rate := range []struct {
		field string
		value float64
	}{{"rate", s.Rate}, {"key_rate", s.KeyRate}} {
		if math.IsNaN(rate.value) || rate.value < 0 || rate.value > maxQueueRate {
			return workflow.Invalidf(rate.field, "is %g; expected up to %g a second, or 0 for none", rate.value, maxQueueRate)
		}
	}
	switch {
	case s.Burst > 0 && s.Rate == 0:
		return workflow.Invalid("burst", "needs a rate")
	case s.KeyBurst > 0 && s.KeyRate == 0:
		return workflow.Invalid("key_burst", "needs a key_rate")
	case s.KeyLimit > 0 && s.KeyPath == "":
		return workflow.Invalid("key_limit", "needs a key_path, which says where the key is")
	case s.KeyRate > 0 && s.KeyPath == "":
		return workflow.Invalid("key_rate", "needs a key_path, which says where the key is")
	case s.KeyPath == "":
		return nil
	}
	_, err := ParseKeyPath(s.KeyPath)
	return err
}
