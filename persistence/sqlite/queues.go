package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// settingColumns are what scanQueue reads.
const settingColumns = `
	name, paused_at, coalesce(node_limit, 0), coalesce(global_limit, 0), coalesce(key_path, ''), coalesce(key_limit, 0),
	coalesce(rate, 0.0), coalesce(burst, 0), coalesce(key_rate, 0.0), coalesce(key_burst, 0),
	coalesce(retain_completed, 0), coalesce(retain_failed, 0)`

// scanQueue reads a queue's settings, and what else is in the row behind them.
func scanQueue(row scanner, more ...any) (persistence.QueueSettings, error) {
	var q persistence.QueueSettings
	var paused sql.NullInt64
	err := row.Scan(append([]any{
		&q.Name, &paused, &q.NodeLimit, &q.GlobalLimit, &q.KeyPath, &q.KeyLimit,
		&q.Rate, &q.Burst, &q.KeyRate, &q.KeyBurst, &q.RetainCompleted, &q.RetainFailed,
	}, more...)...)
	q.PausedAt = moments(paused)
	return q, err
}

const listQueues = `
SELECT ` + settingColumns + `
FROM queues
ORDER BY name`

// QueueSettings implements [persistence.Queues].
func (s *Store) QueueSettings(ctx context.Context) ([]persistence.QueueSettings, error) {
	var list []persistence.QueueSettings
	err := s.readers.query(ctx, func(row scanner) error {
		q, err := scanQueue(row)
		list = append(list, q)
		return err
	}, listQueues)
	if err != nil {
		return nil, fmt.Errorf("list the settings of queues: %w", err)
	}
	return list, nil
}

const readQueue = `
SELECT ` + settingColumns + `
FROM queues
WHERE name = ?`

func (t *tx) queue(name string) (q persistence.QueueSettings, found bool, err error) {
	q.Name = name
	err = t.query(func(row scanner) (err error) {
		found = true
		q, err = scanQueue(row)
		return err
	}, readQueue, name)
	return q, found, err
}

const putQueue = `
INSERT INTO queues (name, node_limit, global_limit, key_path, key_limit, rate, burst, key_rate, key_burst, updated_at, version,
	retain_completed, retain_failed)
VALUES (?1, nullif(?2, 0), nullif(?3, 0), nullif(?4, ''), nullif(?5, 0), nullif(?6, 0.0), nullif(?7, 0), nullif(?8, 0.0), nullif(?9, 0), ?10, 1,
	nullif(?11, 0), nullif(?12, 0))
ON CONFLICT (name) DO UPDATE
SET node_limit = excluded.node_limit, global_limit = excluded.global_limit, key_path = excluded.key_path, key_limit = excluded.key_limit,
	rate = excluded.rate, burst = excluded.burst, key_rate = excluded.key_rate, key_burst = excluded.key_burst,
	retain_completed = excluded.retain_completed, retain_failed = excluded.retain_failed,
	updated_at = excluded.updated_at, version = version + 1`

// SetQueue implements [persistence.Queues].
func (s *Store) SetQueue(ctx context.Context, name string, change workflow.QueueChange) (persistence.QueueSettings, error) {
	var after persistence.QueueSettings
	err := s.writer.transaction(ctx, func(t *tx) (err error) {
		if after, _, err = t.queue(name); err != nil {
			return err
		}
		if after.QueueSettings, err = persistence.ChangedQueue(after.QueueSettings, change); err != nil {
			return err
		}
		_, err = t.exec(putQueue, name, after.NodeLimit, after.GlobalLimit, after.KeyPath, after.KeyLimit,
			after.Rate, after.Burst, after.KeyRate, after.KeyBurst, t.at, after.RetainCompleted, after.RetainFailed)
		return err
	})
	if err == nil && change.KeyPath != nil {
		err = s.giveKeys(ctx, after)
	}
	if err != nil {
		return persistence.QueueSettings{}, fmt.Errorf("set queue %s: %w", name, err)
	}
	return after, nil
}

const pauseQueue = `
INSERT INTO queues (name, paused_at, updated_at, version)
VALUES (?1, ?2, ?3, 1)
ON CONFLICT (name) DO UPDATE
SET paused_at = excluded.paused_at, updated_at = excluded.updated_at, version = version + 1`

// PauseQueue implements [persistence.Queues].
func (s *Store) PauseQueue(ctx context.Context, name string, paused bool) (persistence.QueueSettings, bool, error) {
	var q persistence.QueueSettings
	changed := false
	err := s.writer.transaction(ctx, func(t *tx) (err error) {
		q, _, err = t.queue(name)
		if err != nil || paused == (q.PausedAt != nil) {
			return err
		}
		changed = true
		var at any
		q.PausedAt = nil
		if paused {
			at = t.at
			q.PausedAt = new(moment(t.at))
		}
		_, err = t.exec(pauseQueue, name, at, t.at)
		return err
	})
	if err != nil {
		return persistence.QueueSettings{}, false, fmt.Errorf("pause queue %s (%t): %w", name, paused, err)
	}
	return q, changed, nil
}

// A run is due by its place: whatever it was stored as, it waits for a slot
// then.
const queueStats = `
SELECT queue, sum(available), sum(running), sum(scheduled), sum(retryable), max(late)
FROM (
	SELECT queue, sort_key <= ?1 + priority * 60000000 AS available, 0 AS running,
		sort_key > ?1 + priority * 60000000 AND state <> 'retryable' AS scheduled,
		sort_key > ?1 + priority * 60000000 AND state = 'retryable' AS retryable,
		?1 + priority * 60000000 - sort_key AS late
	FROM ` + claimableRuns + `
	UNION ALL
	SELECT queue, 0, 1, 0, 0, 0
	FROM workflow_runs INDEXED BY workflow_runs_owned WHERE state = 'running'
)
GROUP BY queue
ORDER BY queue`

// QueueStats implements [persistence.Queues].
func (s *Store) QueueStats(ctx context.Context) ([]persistence.QueueStats, error) {
	var list []persistence.QueueStats
	err := s.readers.query(ctx, func(row scanner) error {
		var q persistence.QueueStats
		var late int64
		err := row.Scan(&q.Queue, &q.Available, &q.Running, &q.Scheduled, &q.Retryable, &late)
		q.Oldest = max(time.Duration(late)*time.Microsecond, 0)
		list = append(list, q)
		return err
	}, queueStats, now())
	if err != nil {
		return nil, fmt.Errorf("count the runs of queues: %w", err)
	}
	return list, nil
}
