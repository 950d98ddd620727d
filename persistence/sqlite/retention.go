package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"singularity/persistence"
)

// pruneAtOnce bounds one transaction, since checkpoints wait for it.
const pruneAtOnce = 100

// Prune implements [persistence.Retention]. Messages that are done are kept as
// long as completed runs, so that a repeated one is recognised; boots that
// ended, as long as failed runs.
func (s *Store) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (int, error) {
	policy = policy.WithDefaults()
	at := time.Now()
	horizon := horizons{
		completed: at.Add(-policy.Completed).UnixMicro(),
		failed:    at.Add(-policy.Failed).UnixMicro(),
		takeovers: at.Add(-policy.Takeovers).UnixMicro(),
	}
	deleted := 0
	for deleted < limit {
		batch, err := s.pruneBatch(ctx, horizon, min(limit-deleted, pruneAtOnce))
		deleted += batch
		if err != nil {
			return deleted, fmt.Errorf("prune: %w", err)
		}
		if batch == 0 {
			break
		}
	}
	if err := s.pruneBuckets(ctx); err != nil {
		return deleted, fmt.Errorf("prune the buckets of keys: %w", err)
	}
	return deleted, nil
}

// A bucket that is full again is as one that is not there.
const fullBuckets = `
SELECT bucket.queue, bucket.keyed, bucket.key
FROM queue_buckets AS bucket
JOIN queues AS queue ON queue.name = bucket.queue
WHERE bucket.keyed = 1
	AND bucket.refilled_at < ?1 - coalesce(1000000 * coalesce(queue.key_burst, max(1, queue.key_rate)) / nullif(queue.key_rate, 0), 0)
LIMIT ?2`

const deleteBuckets = `
DELETE FROM queue_buckets
WHERE (queue, keyed, key) IN (` + fullBuckets + `)`

// pruneBuckets deletes some full buckets of keys. It writes only when there are
// any.
func (s *Store) pruneBuckets(ctx context.Context) error {
	full := false
	err := s.readers.query(ctx, func(row scanner) error { return row.Scan(&full) }, `SELECT EXISTS (`+fullBuckets+`)`, now(), 1)
	if err != nil || !full {
		return err
	}
	return s.writer.transaction(ctx, func(t *tx) error {
		_, err := t.exec(deleteBuckets, t.at, pruneAtOnce)
		return err
	})
}

// horizons are the times before which things expire.
type horizons struct{ completed, failed, takeovers int64 }

// pruneBatch deletes some of what has expired. It writes only when there is
// something.
func (s *Store) pruneBatch(ctx context.Context, horizon horizons, limit int) (int, error) {
	expired := false
	err := s.readers.query(ctx, func(row scanner) error { return row.Scan(&expired) },
		anythingExpired, horizon.completed, horizon.failed, horizon.takeovers)
	if err != nil || !expired {
		return 0, err
	}
	var deleted []string
	err = s.writer.transaction(ctx, func(t *tx) (err error) {
		deleted, err = t.prune(horizon, limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(deleted), nil
}

const expiredRuns = `
SELECT id FROM workflow_runs
WHERE finished_at IS NOT NULL AND state IN ('completed', 'cancelled') AND finished_at < ?1 AND ` + countedNoMore + `
UNION ALL
SELECT id FROM workflow_runs
WHERE finished_at IS NOT NULL AND state IN ('failed', 'quarantined') AND finished_at < ?2 AND ` + countedNoMore

// countedNoMore leaves out the runs that are counted when their batch ends.
const countedNoMore = `NOT EXISTS (SELECT 1 FROM batches WHERE id = workflow_runs.batch_id AND batches.finished_at IS NULL)`

const expiredBatches = `
SELECT id FROM batches
WHERE finished_at IS NOT NULL AND finished_at < min(?1, ?2)`

const expiredMessages = `
SELECT seq FROM agent_inbox
WHERE done_at IS NOT NULL AND done_at < ?1`

const expiredLeases = `
SELECT boot FROM node_leases
WHERE ended_at < ?2 AND boot NOT IN (SELECT owner FROM workflow_runs WHERE state = 'running')`

const anythingExpired = `
SELECT EXISTS (` + expiredRuns + `) OR EXISTS (` + expiredMessages + `) OR EXISTS (` + expiredLeases + `) OR EXISTS (` + expiredBatches + `)
	OR EXISTS (SELECT 1 FROM takeovers WHERE declared_at < ?3)`

// Only the row itself tells for sure that a run has ended: it may be retried
// between the look and the deletion.
const deleteRuns = `
DELETE FROM workflow_runs
WHERE id IN (SELECT id FROM (` + expiredRuns + `) LIMIT ?3)
RETURNING id, entry`

const deleteHistory = `
WITH RECURSIVE history AS (
	SELECT entry, previous FROM step_checkpoints WHERE entry IN (SELECT value FROM json_each(?))
	UNION ALL
	SELECT earlier.entry, earlier.previous
	FROM history JOIN step_checkpoints AS earlier ON earlier.entry = history.previous
)
DELETE FROM step_checkpoints
WHERE entry IN (SELECT entry FROM history)`

const (
	deleteRecords  = `DELETE FROM step_records WHERE run_id IN (SELECT value FROM json_each(?))`
	deleteResults  = `DELETE FROM job_results WHERE job_id IN (SELECT value FROM json_each(?))`
	deleteSignals  = `DELETE FROM signals WHERE run_id IN (SELECT value FROM json_each(?))`
	deleteMessages = `DELETE FROM agent_inbox WHERE seq IN (` + expiredMessages + ` LIMIT ?2)`
	deleteBatches  = `DELETE FROM batches WHERE id IN (` + expiredBatches + ` LIMIT ?3)`
	deleteLeases   = `DELETE FROM node_leases WHERE boot IN (` + expiredLeases + ` LIMIT ?3)`

	deleteTakeovers = `DELETE FROM takeovers WHERE boot IN (SELECT boot FROM takeovers WHERE declared_at < ? LIMIT ?)`
)

// prune returns the ids of the runs that it deleted.
func (t *tx) prune(horizon horizons, limit int) ([]string, error) {
	var deleted []string
	var newest []int64 // entries of theirs
	err := t.query(func(row scanner) error {
		var id string
		var entry int64
		err := row.Scan(&id, &entry)
		deleted, newest = append(deleted, id), append(newest, entry)
		return err
	}, deleteRuns, horizon.completed, horizon.failed, limit)
	if err != nil {
		return nil, err
	}
	entries, err := json.Marshal(newest)
	if err != nil {
		return nil, err
	}
	if _, err := t.exec(deleteHistory, string(entries)); err != nil {
		return nil, err
	}
	list, err := json.Marshal(deleted)
	if err != nil {
		return nil, err
	}
	for _, query := range []string{deleteRecords, deleteResults, deleteSignals} {
		if _, err := t.exec(query, string(list)); err != nil {
			return nil, err
		}
	}
	if _, err := t.exec(deleteMessages, horizon.completed, limit); err != nil {
		return nil, err
	}
	if _, err := t.exec(deleteLeases, horizon.completed, horizon.failed, limit); err != nil {
		return nil, err
	}
	if _, err := t.exec(deleteBatches, horizon.completed, horizon.failed, limit); err != nil {
		return nil, err
	}
	_, err = t.exec(deleteTakeovers, horizon.takeovers, limit)
	return deleted, err
}
