package hub

import (
	"context"
	"errors"
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
	policy    *centralcloud.Policy  // that was published last; nil for none
	lessons   []centralcloud.Lesson // what else was taught, the newest of each type and name
	instances map[string]Instance
	away      map[string]bool // the ids of those that do not read their queues, or may not
	metrics   *instruments
	health    *health

	news      bool      // the policy may not know all of the ledger
	search    search    // for patterns
	lookedFor time.Time // when it was asked who reads its queue
	tidied    time.Time // when old things were put away
}

// begin reads what earlier leaders stored.
func begin(ctx context.Context, config Config, lead Lead) (*tenure, error) {
	t := &tenure{
		Config: config, lead: lead, ledger: learner.NewLedger(),
		instances: map[string]Instance{}, away: map[string]bool{}, news: true,
	}
	if err := t.reprice(ctx); err != nil {
		return nil, err
	}
	err := t.Store.Rows(ctx, func(row centralcloud.Row) error {
		t.ledger.Add(row)
		t.search.note(row.Epoch, lead.At)
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
		// The last leader may have sent it nothing: it is brought up to date once it
		// turns out that it reads.
		t.away[instance.ID] = true
	}
	t.ledger.Forget(lead.At)
	if t.lessons, err = t.Store.Lessons(ctx); err != nil {
		return nil, err
	}
	t.policy, err = t.Store.Policy(ctx, 0)
	if errors.Is(err, ErrNoPolicy) {
		err = nil
	}
	return t, err
}

// reprice has the prices of the configuration hold from now on.
func (t *tenure) reprice(ctx context.Context) error {
	stored, err := t.Store.Prices(ctx)
	if err != nil {
		return err
	}
	t.prices = stored.With(t.lead.At, t.Prices...)
	if t.prices.Equal(stored) {
		return nil
	}
	return t.Store.SetPrices(ctx, t.lead, t.prices)
}

// run works until ctx ends or something fails. However many messages wait, it
// prolongs the lead between them. Where there were some, others may follow that the
// store does not tell of.
func (t *tenure) run(ctx context.Context) error {
	for next := time.Now(); ctx.Err() == nil; {
		read, err := t.readUpdates(ctx)
		if err != nil {
			return err
		}
		if now := time.Now(); !now.Before(next) {
			next = now.Add(t.Every)
			if err := t.tick(ctx); err != nil {
				return err
			}
		}
		switch read {
		case updatesAtOnce:
		case 0:
			t.await(ctx, time.Until(next))
		default:
			pause(ctx, t.look())
		}
	}
	return nil
}

// tick prolongs the lead, makes a policy, puts old things away and looks for
// patterns.
func (t *tenure) tick(ctx context.Context) error {
	began := time.Now()
	for _, do := range []func(context.Context) error{t.prolong, t.learn, t.lookAfter, t.tidy, t.find} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	t.metrics.ticked(time.Since(began), t.policy)
	t.health.note(nil)
	return nil
}

func (t *tenure) prolong(ctx context.Context) error {
	lead, err := t.Store.Lead(ctx, t.Name, t.term())
	if err != nil {
		return err
	}
	if lead.Epoch != t.lead.Epoch {
		return fmt.Errorf("%w since lead %d", ErrNotLeading, t.lead.Epoch)
	}
	t.lead = lead
	return nil
}

// tidy puts old things away, once an hour.
func (t *tenure) tidy(ctx context.Context) error {
	now := t.lead.At
	if now.Sub(t.tidied) < time.Hour {
		return nil
	}
	t.tidied = now
	for {
		rows, err := t.Store.Compact(ctx, t.lead, now.Add(-2*late))
		if err != nil {
			return err
		}
		if rows == 0 {
			break
		}
		t.Logger.InfoContext(ctx, "summed up the rows of an hour", "rows", rows)
	}
	t.ledger.Forget(now)
	return t.Store.Forget(ctx, t.lead, now.Add(-forgotten), now.Add(-repeatsForgotten))
}
