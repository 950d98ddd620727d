package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/learner"
)

const selectInstances = `
SELECT instance_id, boot_id, queue, heard_at, coalesce(taught_at, 0)
FROM instances
ORDER BY instance_id`

// Instances implements [hub.Store].
func (s *Store) Instances(ctx context.Context) (instances []hub.Instance, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var i hub.Instance
			var heard, taught int64
			err := rows.Scan(&i.ID, &i.Boot, &i.Queue, &heard, &taught)
			i.HeardAt, i.TaughtAt = time.UnixMicro(heard).UTC(), noted(taught)
			instances = append(instances, i)
			return err
		}, selectInstances)
	})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	return instances, nil
}

const deleteInstance = `DELETE FROM instances WHERE instance_id = ?`

// DropInstance implements [hub.Store].
func (s *Store) DropInstance(ctx context.Context, lead hub.Lead, instance hub.Instance) error {
	return s.leading(ctx, "drop instance "+instance.ID, lead, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, dropQueue, instance.Queue); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, deleteInstance, instance.ID)
		return err
	})
}

const selectPrices = `
SELECT provider, model, since, picousd_in, picousd_out
FROM prices
ORDER BY since`

// Prices implements [hub.Store].
func (s *Store) Prices(ctx context.Context) (prices learner.Prices, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var p learner.Price
			err := rows.Scan(&p.Provider, &p.Model, &p.Since, &p.In, &p.Out)
			prices = prices.With(time.Unix(p.Since, 0), p)
			return err
		}, selectPrices)
	})
	if err != nil {
		return learner.Prices{}, fmt.Errorf("read prices: %w", err)
	}
	return prices, nil
}

const (
	deletePrices = `DELETE FROM prices`
	insertPrice  = `
INSERT INTO prices (provider, model, since, picousd_in, picousd_out)
VALUES (?, ?, ?, ?, ?)`
)

// SetPrices implements [hub.Store].
func (s *Store) SetPrices(ctx context.Context, lead hub.Lead, prices learner.Prices) error {
	return s.leading(ctx, "store prices", lead, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, deletePrices); err != nil {
			return err
		}
		for _, p := range prices.History() {
			if _, err := tx.ExecContext(ctx, insertPrice, p.Provider, p.Model, p.Since, p.In, p.Out); err != nil {
				return err
			}
		}
		return nil
	})
}

const insertPolicy = `
INSERT INTO policies (version, epoch, made_at, repeats, document)
VALUES (?, ?, ?, ?, ?)`

// Publish implements [hub.Store].
func (s *Store) Publish(ctx context.Context, lead hub.Lead, p hub.Publication) error {
	policy := p.Policy
	document, err := policy.Encode()
	if err != nil {
		return fmt.Errorf("publish policy %d: %w", policy.Version, err)
	}
	return s.leading(ctx, fmt.Sprintf("publish policy %d", policy.Version), lead, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, insertPolicy, policy.Version, lead.Epoch, policy.MadeAt.UnixMicro(), p.Repeats, string(document))
		if err != nil {
			return err
		}
		return sendToAll(ctx, tx, p.Queues, p.Messages...)
	})
}

const noteTaught = `UPDATE instances SET taught_at = ? WHERE queue = ?`

// sendToAll leaves out queues that are gone.
func sendToAll(ctx context.Context, tx *sql.Tx, queues []string, messages ...centralcloud.Draft) error {
	for _, queue := range queues {
		for _, message := range messages {
			if _, err := In(tx).Send(ctx, queue, message); err != nil && !errors.Is(err, centralcloud.ErrNoQueue) {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, noteTaught, now(), queue); err != nil {
			return err
		}
	}
	return nil
}

const selectPolicy = `
SELECT document
FROM policies
WHERE (?1 = 0 OR version <= ?1) AND ?1 <= (SELECT max(version) FROM policies)
ORDER BY version DESC
LIMIT 1`

// Policy implements [hub.Reader].
func (s *Store) Policy(ctx context.Context, version int64) (*centralcloud.Policy, error) {
	var document string
	err := s.transact(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, selectPolicy, version).Scan(&document)
		if errors.Is(err, sql.ErrNoRows) {
			return hub.ErrNoPolicy
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read policy %d: %w", version, err)
	}
	return centralcloud.DecodePolicy([]byte(document))
}
