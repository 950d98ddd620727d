package pgmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
)

const selectInstances = `
SELECT instance_id, boot_id, queue, heard_at, coalesce(taught_at, '-infinity')
FROM centralcloud.instances
ORDER BY instance_id COLLATE "C"`

// Instances implements [hub.Store].
func (s *Store) Instances(ctx context.Context) ([]hub.Instance, error) {
	rows, _ := s.pool.Query(ctx, selectInstances)
	instances, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (hub.Instance, error) {
		var i hub.Instance
		var taught pgtype.Timestamptz
		err := row.Scan(&i.ID, &i.Boot, &i.Queue, &i.HeardAt, &taught)
		i.HeardAt, i.TaughtAt = i.HeardAt.UTC(), taught.Time.UTC() // zero for infinity
		return i, err
	})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", translate(err))
	}
	return instances, nil
}

const deleteInstance = `DELETE FROM centralcloud.instances WHERE instance_id = $1`

// DropInstance implements [hub.Store].
func (s *Store) DropInstance(ctx context.Context, lead hub.Lead, instance hub.Instance) error {
	return s.leading(ctx, "drop instance "+instance.ID, lead, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, dropQueue, instance.Queue); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, deleteInstance, instance.ID)
		return err
	})
}

const selectPrices = `
SELECT provider, model, since, picousd_in, picousd_out
FROM centralcloud.prices
ORDER BY since`

// Prices implements [hub.Store].
func (s *Store) Prices(ctx context.Context) (learner.Prices, error) {
	var prices learner.Prices
	var p learner.Price
	rows, _ := s.pool.Query(ctx, selectPrices)
	_, err := pgx.ForEachRow(rows, []any{&p.Provider, &p.Model, &p.Since, &p.In, &p.Out}, func() error {
		prices = prices.With(time.Unix(p.Since, 0), p)
		return nil
	})
	if err != nil {
		return learner.Prices{}, fmt.Errorf("read prices: %w", translate(err))
	}
	return prices, nil
}

const (
	deletePrices = `DELETE FROM centralcloud.prices`
	insertPrice  = `
INSERT INTO centralcloud.prices (provider, model, since, picousd_in, picousd_out)
VALUES ($1, $2, $3, $4, $5)`
)

// SetPrices implements [hub.Store].
func (s *Store) SetPrices(ctx context.Context, lead hub.Lead, prices learner.Prices) error {
	return s.leading(ctx, "store prices", lead, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, deletePrices); err != nil {
			return err
		}
		for _, p := range prices.History() {
			if _, err := tx.Exec(ctx, insertPrice, p.Provider, p.Model, p.Since, p.In, p.Out); err != nil {
				return err
			}
		}
		return nil
	})
}

const insertPolicy = `
INSERT INTO centralcloud.policies (version, epoch, made_at, repeats, document)
VALUES ($1, $2, $3, $4, $5)`

// Publish implements [hub.Store].
func (s *Store) Publish(ctx context.Context, lead hub.Lead, p hub.Publication) error {
	policy := p.Policy
	document, err := policy.Encode()
	if err != nil {
		return fmt.Errorf("publish policy %d: %w", policy.Version, err)
	}
	return s.leading(ctx, fmt.Sprintf("publish policy %d", policy.Version), lead, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertPolicy, policy.Version, lead.Epoch, policy.MadeAt, p.Repeats, string(document)); err != nil {
			return err
		}
		return sendToAll(ctx, tx, p.Queues, p.Messages...)
	})
}

const (
	sendToQueues = `
SELECT pgmq.send(m.queue_name, $2::jsonb)
FROM pgmq.list_queues() AS m
WHERE m.queue_name = ANY ($1)`
	noteTaught = `UPDATE centralcloud.instances SET taught_at = clock_timestamp() WHERE queue = ANY ($1)`
)

// sendToAll leaves out queues that are gone.
func sendToAll(ctx context.Context, tx pgx.Tx, queues []string, messages ...centralcloud.Draft) error {
	for _, message := range messages {
		if err := message.Check(); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sendToQueues, queues, string(message.Body)); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, noteTaught, queues)
	return err
}

const selectPolicy = `
SELECT document
FROM centralcloud.policies
WHERE ($1 = 0 OR version <= $1) AND $1 <= (SELECT max(version) FROM centralcloud.policies)
ORDER BY version DESC
LIMIT 1`

// Policy implements [hub.Reader].
func (s *Store) Policy(ctx context.Context, version int64) (*centralcloud.Policy, error) {
	var document string
	err := s.pool.QueryRow(ctx, selectPolicy, version).Scan(&document)
	if errors.Is(err, pgx.ErrNoRows) {
		err = hub.ErrNoPolicy
	}
	if err != nil {
		return nil, fmt.Errorf("read policy %d: %w", version, translate(err))
	}
	return centralcloud.DecodePolicy([]byte(document))
}
