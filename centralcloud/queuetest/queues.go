package queuetest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"singularity/centralcloud"
)

var queueStories = []story{
	{"queues/are listed in order and made once", queuesListed},
	{"queues/are made by many at once", queuesMadeAtOnce},
	{"queues/begin anew when they are dropped and made", queueDropped},
	{"queues/are purged of leased messages too and keep counting", queuePurged},
	{"queues/count their messages", queueCounted},
	{"queues/keep their messages when the process dies", queueSurvives},
	{"queues/that are missing or cannot be are refused by every call", queueMissing},
	{"queues/do nothing for a caller that is gone", queueCancelled},
}

func queuesListed(f *fixture) {
	f.sent(1)
	f.create("a")
	f.create(strings.Repeat("z", centralcloud.MaxQueueName))
	f.create(jobs)
	queues, err := f.Queues(f.Context())
	if want := []string{"a", jobs, strings.Repeat("z", centralcloud.MaxQueueName)}; err != nil || !slices.Equal(queues, want) {
		f.Errorf("queues %q, %v; want %q", queues, err, want)
	}
	f.want("after its queue was made again", f.read(jobs, 10), 1)
}

func queuesMadeAtOnce(f *fixture) {
	var makers sync.WaitGroup
	for range 8 {
		makers.Go(func() {
			if err := f.CreateQueue(f.Context(), other); err != nil {
				f.Errorf("make a queue: %v", err)
			}
			if _, err := f.Send(f.Context(), other, draft(1)); err != nil {
				f.Errorf("send: %v", err)
			}
		})
	}
	makers.Wait()
	f.want("sent", f.read(other, 10), 1, 2, 3, 4, 5, 6, 7, 8)
}

func queueDropped(f *fixture) {
	f.sent(3)
	_, err := f.Archive(f.Context(), jobs, 1)
	f.must(err)
	if dropped, err := f.DropQueue(f.Context(), jobs); err != nil || !dropped {
		f.Fatalf("drop: %t, %v", dropped, err)
	}
	if dropped, err := f.DropQueue(f.Context(), jobs); err != nil || dropped {
		f.Errorf("drop again: %t, %v; want that there was none", dropped, err)
	}
	if queues, err := f.Queues(f.Context()); err != nil || len(queues) != 0 {
		f.Errorf("queues %q, %v; want none", queues, err)
	}
	f.create(jobs)
	f.want("archive", f.archived())
	f.sent(1)
}

func queuePurged(f *fixture) {
	f.sent(4)
	_, err := f.Archive(f.Context(), jobs, 1)
	f.must(err)
	f.want("read", f.read(jobs, 1), 2)
	if purged, err := f.PurgeQueue(f.Context(), jobs); err != nil || purged != 3 {
		f.Errorf("purged %d, %v; want 3", purged, err)
	}
	f.elapse(jobs)
	f.want("left", f.read(jobs, 10))
	f.want("archive", f.archived(), 1)
	if id, err := f.Send(f.Context(), jobs, draft(5)); err != nil || id != 5 {
		f.Errorf("id %d, %v; want 5", id, err)
	}
}

func queueCounted(f *fixture) {
	if metrics, err := f.QueueMetrics(f.Context(), jobs); err != nil || metrics != (centralcloud.QueueMetrics{}) {
		f.Errorf("of an empty queue: %+v, %v", metrics, err)
	}
	f.sent(3)
	f.read(jobs, 1)
	_, err := f.Delete(f.Context(), jobs, 3)
	f.must(err)
	metrics, err := f.QueueMetrics(f.Context(), jobs)
	if err != nil || metrics.Length != 2 || metrics.Visible != 1 || metrics.Total != 3 {
		f.Errorf("%+v, %v; want 2 messages, 1 of them visible, of 3", metrics, err)
	}
	if metrics.Oldest < metrics.Newest || metrics.Oldest > time.Minute {
		f.Errorf("ages %s and %s, want those of messages that were just sent", metrics.Oldest, metrics.Newest)
	}
}

func queueSurvives(f *fixture) {
	f.sent(3)
	f.read(jobs, 1)
	f.Queue = f.config.Reopen(f, f.Queue)
	f.want("visible", f.read(jobs, 10), 2, 3)
	f.elapse(jobs)
	messages := f.messages(jobs, 1)
	if len(messages) != 1 || messages[0].ID != 1 || messages[0].Reads != 2 {
		f.Errorf("%+v, want the message whose reader died, read twice", messages)
	}
}

// calls is every method that names a queue.
func calls(ctx context.Context, f *fixture, queue string) map[string]error {
	errs := map[string]error{}
	_, errs["Send"] = f.Send(ctx, queue, draft(1))
	_, errs["SendBatch"] = f.SendBatch(ctx, queue, []centralcloud.Draft{draft(1)})
	_, errs["Read"] = f.Read(ctx, queue, lease, 1)
	_, errs["SetVT"] = f.SetVT(ctx, queue, 1, lease)
	_, errs["Delete"] = f.Delete(ctx, queue, 1)
	_, errs["Archive"] = f.Archive(ctx, queue, 1)
	_, errs["Move"] = f.Move(ctx, queue, centralcloud.Message{ID: 1, Body: json.RawMessage("1")}, other, nil)
	_, errs["PurgeQueue"] = f.PurgeQueue(ctx, queue)
	_, errs["QueueMetrics"] = f.QueueMetrics(ctx, queue)
	return errs
}

func queueMissing(f *fixture) {
	f.create(other)
	for method, err := range calls(f.Context(), f, "missing") {
		if !errors.Is(err, centralcloud.ErrNoQueue) {
			f.Errorf("%s: %v, want %v", method, err, centralcloud.ErrNoQueue)
		}
	}
	for _, name := range []string{"", "Jobs", "jobs-1", "q;--", strings.Repeat("z", centralcloud.MaxQueueName+1)} {
		errs := calls(f.Context(), f, name)
		errs["CreateQueue"] = f.CreateQueue(f.Context(), name)
		_, errs["DropQueue"] = f.DropQueue(f.Context(), name)
		_, errs["Move to it"] = f.Move(f.Context(), jobs, centralcloud.Message{ID: 1, Body: json.RawMessage("1")}, name, nil)
		for method, err := range errs {
			if !errors.Is(err, centralcloud.ErrBadName) {
				f.Errorf("%s of %q: %v, want %v", method, name, err, centralcloud.ErrBadName)
			}
		}
	}
}

func queueCancelled(f *fixture) {
	f.sent(1)
	gone, cancel := context.WithCancel(f.Context())
	cancel()
	for method, err := range calls(gone, f, jobs) {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("%s: %v, want %v", method, err, context.Canceled)
		}
	}
	messages := f.messages(jobs, 10)
	if len(messages) != 1 || messages[0].Reads != 1 {
		f.Errorf("%+v, want the one message, unread", messages)
	}
}
