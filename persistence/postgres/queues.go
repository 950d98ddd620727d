package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/workflow"
)

// settingColumns are what scanQueue reads.
const settingColumns = `
	name, paused_at, coalesce(node_limit, 0), coalesce(global_limit, 0), coalesce(key_path, ''), coalesce(key_limit, 0),
	coalesce(rate, 0), coalesce(burst, 0), coalesce(key_rate, 0), coalesce(key_burst, 0),
	coalesce(retain_completed, 0), coalesce(retain_failed, 0)`

// scanQueue reads a queue's settings, and what else is in the row behind them.
func scanQueue(row scanner, more ...any) (persistence.QueueSettings, error) {
	var q persistence.QueueSettings
	err := row.Scan(append([]any{
		&q.Name, &q.PausedAt, &q.NodeLimit, &q.GlobalLimit, &q.KeyPath, &q.KeyLimit,
		&q.Rate, &q.Burst, &q.KeyRate, &q.KeyBurst, &q.RetainCompleted, &q.RetainFailed,
	}, more...)...)
	inUTC(q.PausedAt)
	return q, err
}

const listQueues = `
SELECT ` + settingColumns + `
FROM singularity.queues
ORDER BY name`

// QueueSettings implements [persistence.Queues].
func (s *Store) QueueSettings(ctx context.Context) ([]persistence.QueueSettings, error) {
	var list []persistence.QueueSettings
	err := s.query(ctx, func(row scanner) error {
		q, err := scanQueue(row)
		list = append(list, q)
		return err
	}, listQueues)
	if err != nil {
		return nil, fmt.Errorf("list the settings of queues: %w", err)
	}
	return list, nil
}

// SetQueue implements [persistence.Queues].
func (s *Store) SetQueue(ctx context.Context, name string, change workflow.QueueChange) (persistence.QueueSettings, error) {
	q, _, err := s.alterQueue(ctx, name, func(q *persistence.QueueSettings) (err error) {
		q.QueueSettings, err = persistence.ChangedQueue(q.QueueSettings, change)
		return err
	})
	if err == nil && change.KeyPath != nil {
		err = s.giveKeys(ctx, q)
	}
	if err != nil {
		return persistence.QueueSettings{}, fmt.Errorf("set queue %s: %w", name, err)
	}
	return q, nil
}

// PauseQueue implements [persistence.Queues].
func (s *Store) PauseQueue(ctx context.Context, name string, paused bool) (persistence.QueueSettings, bool, error) {
	q, changed, err := s.alterQueue(ctx, name, func(q *persistence.QueueSettings) error {
		if paused == (q.PausedAt != nil) {
			return errUnchanged
		}
		q.PausedAt = nil
		if paused {
			q.PausedAt = new(time.Time) // the database's clock says when
		}
		return nil
	})
	if err != nil {
		return persistence.QueueSettings{}, false, fmt.Errorf("pause queue %s (%t): %w", name, paused, err)
	}
	return q, changed, nil
}

var errUnchanged = errors.New("the queue is as it is to be")

const ensureQueue = `
INSERT INTO singularity.queues (name, updated_at)
VALUES ($1, now())
ON CONFLICT (name) DO NOTHING`

// The lock is that of limited claims, which are short.
const lockedQueue = `
SELECT ` + settingColumns + `
FROM singularity.queues
WHERE name = $1
FOR NO KEY UPDATE`

const putQueue = `
UPDATE singularity.queues
SET paused_at = CASE WHEN $2::boolean THEN coalesce(paused_at, clock_timestamp()) END,
	node_limit = nullif($3::integer, 0), global_limit = nullif($4::integer, 0),
	key_path = nullif($5::text, ''), key_limit = nullif($6::integer, 0),
	rate = nullif($7::double precision, 0), burst = nullif($8::integer, 0),
	key_rate = nullif($9::double precision, 0), key_burst = nullif($10::integer, 0),
	retain_completed = nullif($11::integer, 0), retain_failed = nullif($12::integer, 0),
	updated_at = now(), version = version + 1
WHERE name = $1
RETURNING ` + settingColumns

const tellQueueChanged = `SELECT pg_notify('` + queuesChannel + `', $1)`

// alterQueue changes a queue's settings, and tells all nodes when they are. If
// nothing is to change, nothing is written.
func (s *Store) alterQueue(
	ctx context.Context, name string, alter func(*persistence.QueueSettings) error,
) (q persistence.QueueSettings, changed bool, err error) {
	err = pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitLockWait); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, ensureQueue, name); err != nil {
			return err
		}
		if q, err = scanQueue(tx.QueryRow(ctx, lockedQueue, name)); err != nil {
			return err
		}
		if err := alter(&q); err != nil {
			return err
		}
		q, err = scanQueue(tx.QueryRow(ctx, putQueue, name, q.PausedAt != nil, q.NodeLimit, q.GlobalLimit,
			q.KeyPath, q.KeyLimit, q.Rate, q.Burst, q.KeyRate, q.KeyBurst, q.RetainCompleted, q.RetainFailed))
		if err != nil {
			return err
		}
		_, err := tx.Exec(ctx, tellQueueChanged, name)
		return err
	})
	if errors.Is(err, errUnchanged) {
		return q, false, nil
	}
	return q, err == nil, translate(s.afterClose(err))
}
