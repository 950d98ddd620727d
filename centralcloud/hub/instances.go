package hub

import (
	"context"
	"errors"
	"maps"
	"slices"

	"singularity/centralcloud"
)

// listening are the queues of all instances that read them.
func (t *tenure) listening() []string {
	var queues []string
	for _, id := range slices.Sorted(maps.Keys(t.instances)) {
		if !t.away[id] {
			queues = append(queues, t.instances[id].Queue)
		}
	}
	return queues
}

// lookAfter finds out who reads its queue: an instance that has nothing to
// report says nothing, but a message that lies for long is one that nobody
// reads. Who is away gets no more messages, and a snapshot when it is back.
func (t *tenure) lookAfter(ctx context.Context) error {
	if t.lead.At.Sub(t.lookedFor) < refresh {
		return nil
	}
	t.lookedFor = t.lead.At
	if err := t.measure(ctx); err != nil {
		return err
	}
	lessons := queueLength{}
	for _, id := range slices.Sorted(maps.Keys(t.instances)) {
		instance := t.instances[id]
		metrics, err := t.Store.QueueMetrics(ctx, instance.Queue)
		gone := errors.Is(err, centralcloud.ErrNoQueue) || metrics.Oldest > t.Gone
		if err != nil && !gone {
			return err
		}
		if gone && t.lead.At.Sub(instance.HeardAt) > t.Away {
			if err := t.Store.DropInstance(ctx, t.lead, instance); err != nil {
				return err
			}
			delete(t.instances, id)
			delete(t.away, id)
			t.Logger.InfoContext(ctx, "an instance is gone", "instance", id, "heard_at", instance.HeardAt)
			continue
		}
		lessons.add(metrics)
		away := metrics.Oldest > t.Away
		if away != t.away[id] {
			t.Logger.InfoContext(ctx, "an instance reads its queue, or does not", "instance", id, "reads", !away)
		}
		if t.away[id] && !away {
			if err := t.catchUp(ctx, instance.Queue, nil); err != nil {
				return err
			}
		}
		t.away[id] = away
	}
	t.metrics.queue(lessonQueues, lessons)
	t.metrics.instances(len(t.instances), len(t.listening()))
	return nil
}
