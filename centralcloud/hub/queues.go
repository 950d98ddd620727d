package hub

import (
	"context"
	"time"

	"singularity/centralcloud"
)

// lessonQueues stands for all queues from the hub to nodes.
const lessonQueues = "instance_learning"

// queueLength is what waits in one queue, or in some together.
type queueLength struct {
	messages int64
	oldest   time.Duration
}

func (l *queueLength) add(metrics centralcloud.QueueMetrics) {
	l.messages += metrics.Length
	l.oldest = max(l.oldest, metrics.Oldest)
}

// measure looks how much waits in the queues that all nodes share.
func (t *tenure) measure(ctx context.Context) error {
	for _, queue := range []string{centralcloud.UpQueue, centralcloud.DeadUp, centralcloud.DeadDown} {
		metrics, err := t.Store.QueueMetrics(ctx, queue)
		if err != nil {
			return err
		}
		var length queueLength
		length.add(metrics)
		t.metrics.queue(queue, length)
	}
	return nil
}
