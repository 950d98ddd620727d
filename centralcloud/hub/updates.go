package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/centralcloud"
)

// updatesAtOnce is how many messages one look takes.
const updatesAtOnce = 100

// readUpdates counts some of what nodes have sent, and returns how many messages it
// read. Once the lead is lost it leaves the rest as it is, for the next leader.
func (t *tenure) readUpdates(ctx context.Context) (read int, err error) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	consumer := centralcloud.Consumer{
		Receiver: t.Store, Queue: centralcloud.UpQueue, Dead: centralcloud.DeadUp, Lease: t.term(), Batch: updatesAtOnce,
	}
	round, err := consumer.Round(ctx, func(ctx context.Context, message centralcloud.Message) error {
		err := t.work(ctx, message)
		if errors.Is(err, ErrNotLeading) {
			abort(err)
		}
		return err
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if round.Buried > 0 {
		t.metrics.dead.Add(float64(round.Buried))
		t.Logger.WarnContext(ctx, "put messages aside that make no sense", "count", round.Buried, "queue", centralcloud.DeadUp)
	}
	return round.Read(), err
}

// work works on one message.
func (t *tenure) work(ctx context.Context, message centralcloud.Message) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(message.Body, &kind); err != nil {
		return fmt.Errorf("%w: %w", centralcloud.ErrBadMessage, err)
	}
	switch kind.Type {
	case centralcloud.TypeResults:
		return t.count(ctx, message)
	case centralcloud.TypeHello:
		return t.greet(ctx, message)
	default:
		return fmt.Errorf("%w: its type is %q; expected %s or %s", centralcloud.ErrBadMessage, kind.Type, centralcloud.TypeResults, centralcloud.TypeHello)
	}
}

// count adds the rows of an update.
func (t *tenure) count(ctx context.Context, message centralcloud.Message) error {
	update, err := centralcloud.DecodeUpdate(message.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", centralcloud.ErrBadMessage, err)
	}
	report := Report{
		From: t.instanceOf(update.Instance, centralcloud.DownQueue(update.ID), message.EnqueuedAt),
		Rows: t.inTime(update.Counters), Samples: update.Samples, Repeats: t.repeatsInTime(update.Repeats),
	}
	counted, err := t.Store.Count(ctx, t.lead, message.ID, report)
	if err != nil || !counted {
		return err
	}
	t.metrics.results.Inc()
	t.metrics.late.Add(float64(len(update.Counters) - len(report.Rows)))
	for _, row := range report.Rows {
		if t.ledger.Add(row) {
			t.metrics.counted.Inc()
			t.news = true
			t.search.note(row.Epoch, t.lead.At)
		} else {
			t.metrics.duplicates.Inc()
		}
	}
	for _, sample := range report.Samples {
		t.search.note(sample.At.Unix(), t.lead.At)
	}
	for i := range report.Repeats {
		t.search.note(report.Repeats[i].Epoch, t.lead.At)
	}
	t.instances[report.From.ID] = report.From
	return nil
}

// inTime leaves out rows that are so late that earlier revisions of them may be
// summed up already.
func (t *tenure) inTime(rows []centralcloud.Row) []centralcloud.Row {
	oldest := t.lead.At.Add(-late).Unix()
	var kept []centralcloud.Row
	for _, row := range rows {
		if row.Epoch >= oldest {
			kept = append(kept, row)
		}
	}
	return kept
}

// repeatsInTime leaves out those whose time is forgotten already.
func (t *tenure) repeatsInTime(repeats []centralcloud.Repeats) []centralcloud.Repeats {
	oldest := t.lead.At.Add(-late).Unix()
	return slices.DeleteFunc(repeats, func(r centralcloud.Repeats) bool { return r.Epoch < oldest })
}

// greet sends what there is to know to a node that has not all of it.
func (t *tenure) greet(ctx context.Context, message centralcloud.Message) error {
	hello, err := centralcloud.DecodeHello(message.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", centralcloud.ErrBadMessage, err)
	}
	from := t.instanceOf(hello.Instance, hello.Queue, message.EnqueuedAt)
	if err := t.catchUp(ctx, from.Queue, hello.Versions); err != nil {
		return err
	}
	if counted, err := t.Store.Count(ctx, t.lead, message.ID, Report{From: from}); err != nil || !counted {
		return err
	}
	t.metrics.hellos.Inc()
	t.Logger.InfoContext(ctx, "an instance listens", "instance", from.ID, "queue", from.Queue)
	t.instances[from.ID] = from
	delete(t.away, from.ID)
	return nil
}

// instanceOf is who sent a message, or what is known of it since.
func (t *tenure) instanceOf(sender centralcloud.Instance, queue string, at time.Time) Instance {
	if known := t.instances[sender.ID]; known.HeardAt.After(at) {
		return known
	}
	return Instance{ID: sender.ID, Boot: sender.Boot, Queue: queue, HeardAt: at}
}
