package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// tenure is the time of one leader, and what it has in memory: nothing that is
// not in the store.
type tenure struct {
	Config
	lead      Lead
	prices    learner.Prices
	ledger    *learner.Ledger
	policy    centralcloud.Policy // that was published last
	instances map[string]Instance

	learned   bool      // the ledger has what the policy has not
	compacted time.Time // when rows were compacted last
}

// begin reads what earlier leaders stored.
func (h *Hub) begin(ctx context.Context, lead Lead) (*tenure, error) {
	t := &tenure{Config: h.config, lead: lead, ledger: learner.NewLedger(), instances: map[string]Instance{}}
	if err := t.reprice(ctx); err != nil {
		return nil, err
	}
	err := t.Store.Rows(ctx, func(row centralcloud.Row) error {
		t.ledger.Add(row)
		return nil
	})
	if err != nil {
		return nil, err
	}
	instances, err := t.Store.Instances(ctx)
	if err != nil {
		return nil, err
	}
	for _, instance := range instances {
		t.instances[instance.ID] = instance
	}
	t.policy, err = newest(ctx, t.Store)
	if err != nil {
		return nil, err
	}
	t.learned = true // maybe, by a leader that died before it said so
	return t, nil
}

// reprice stores the prices of the configuration that the store has not.
func (t *tenure) reprice(ctx context.Context) error {
	stored, err := t.Store.Prices(ctx)
	if err != nil {
		return err
	}
	if t.prices = stored.With(t.lead.At, t.Prices...); t.prices.Equal(stored) {
		return nil
	}
	return t.Store.SetPrices(ctx, t.lead, t.prices)
}

// run works until ctx ends or something fails.
func (t *tenure) run(ctx context.Context) error {
	ticks := time.NewTicker(look)
	defer ticks.Stop()
	for next := time.Now(); ; {
		if err := t.readUpdates(ctx); err != nil {
			return err
		}
		if !time.Now().Before(next) {
			next = time.Now().Add(t.Every)
			if err := t.tick(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

// tick prolongs the lead, makes a policy and tidies up.
func (t *tenure) tick(ctx context.Context) error {
	lead, err := t.Store.Lead(ctx, t.Name, term)
	if err != nil {
		return err
	}
	if lead.Epoch != t.lead.Epoch {
		return fmt.Errorf("%w, since epoch %d", ErrNotLeading, t.lead.Epoch)
	}
	t.lead = lead
	if err := t.publish(ctx); err != nil {
		return err
	}
	return t.tidy(ctx)
}

// readUpdates counts what nodes have sent.
func (t *tenure) readUpdates(ctx context.Context) error {
	updates := centralcloud.Consumer{
		Receiver: t.Store, Queue: centralcloud.UpdatesQueue, Dead: centralcloud.DeadUpdatesQueue,
		Lease: 2 * term, Batch: 100, Attempts: centralcloud.MaxReads,
	}
	for {
		round, err := updates.Round(ctx, t.count)
		if err != nil {
			return err
		}
		if round.Buried > 0 {
			t.Logger.WarnContext(ctx, "updates that make no sense were put aside", "count", round.Buried, "queue", centralcloud.DeadUpdatesQueue)
		}
		if round.Read() < updates.Batch {
			return nil
		}
	}
}

// count works on one update. What fails for a reason that lies not in the update
// ends the tenure, by the next statement at the latest.
func (t *tenure) count(ctx context.Context, message centralcloud.Message) error {
	var update centralcloud.Update
	if err := json.Unmarshal(message.Body, &update); err != nil {
		return fmt.Errorf("%w: %w", centralcloud.ErrBadMessage, err)
	}
	if err := update.Validate(); err != nil {
		return fmt.Errorf("%w: %w", centralcloud.ErrBadMessage, err)
	}
	update.Rows = t.inTime(update.Rows)
	counted, err := t.Store.Count(ctx, t.lead, centralcloud.UpdatesQueue, message.ID, update)
	if err != nil || !counted {
		return err
	}
	for _, row := range update.Rows {
		t.learned = t.ledger.Add(row) || t.learned
	}
	return t.heard(ctx, update, message.EnqueuedAt)
}

// inTime leaves out rows that are so late that their earlier revisions may be
// compacted.
func (t *tenure) inTime(rows []centralcloud.Row) []centralcloud.Row {
	oldest := t.lead.At.Add(-late).Unix()
	kept := rows[:0]
	for _, row := range rows {
		if row.Epoch >= oldest {
			kept = append(kept, row)
		}
	}
	return kept
}

// tidy compacts old rows and drops the queues of nodes that are gone, once an
// hour.
func (t *tenure) tidy(ctx context.Context) error {
	now := t.lead.At
	if now.Sub(t.compacted) < time.Hour {
		return nil
	}
	rows, err := t.Store.Compact(ctx, t.lead, now.Add(-2*late).Truncate(time.Hour), now.Add(-forgotten))
	if err != nil {
		return err
	}
	t.ledger.Forget(now)
	for id, instance := range t.instances {
		if now.Sub(instance.HeardAt) < t.Gone {
			continue
		}
		if err := t.Store.DropInstance(ctx, t.lead, instance); err != nil {
			return err
		}
		delete(t.instances, id)
		t.Logger.InfoContext(ctx, "an instance is gone", "instance", id, "heard_at", instance.HeardAt)
	}
	if rows > 0 {
		t.Logger.InfoContext(ctx, "summed up old rows", "rows", rows)
	}
	t.compacted = now
	return nil
}
