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

// Expired implements [persistence.Retention].
func (s *Store) Expired(ctx context.Context, policy persistence.RetentionPolicy) (persistence.Expiry, error) {
	return s.look(ctx, policy.WithDefaults())
}

// Prune implements [persistence.Retention].
func (s *Store) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (persistence.Pruned, error) {
	policy = policy.WithDefaults()
	found, err := s.look(ctx, policy)
	if err != nil {
		return persistence.Pruned{}, err
	}
	var pruned persistence.Pruned
	for _, kind := range found.Runs {
		before := ago(policy.Age(kind.State, kind.Queue))
		for pruned.Runs < limit {
			batch, atOnce := 0, min(limit-pruned.Runs, pruneAtOnce)
			err := s.writer.transaction(ctx, func(t *tx) (err error) {
				batch, err = t.deleteRuns(deleteExpired, kind.State, kind.Queue, before, atOnce)
				return err
			})
			if err != nil {
				return pruned, fmt.Errorf("prune %s runs of queue %s: %w", kind.State, kind.Queue, err)
			}
			if pruned.Runs += batch; batch < atOnce {
				break
			}
		}
	}
	if found.Past {
		err := s.writer.transaction(ctx, func(t *tx) error {
			_, err := t.deleteRuns(deletePast, pruneAtOnce)
			return err
		})
		if err != nil {
			return pruned, fmt.Errorf("prune earlier runs of %s: %w", persistence.RetentionWorkflow, err)
		}
	}
	if found.Rest {
		err := s.writer.transaction(ctx, func(t *tx) error { return t.deleteRest(policy, limit, &pruned) })
		if err != nil {
			return pruned, fmt.Errorf("prune messages, boots and takeovers: %w", err)
		}
	}
	if err := s.deleteSome(ctx, fullBuckets, deleteBuckets, now()); err != nil {
		return pruned, fmt.Errorf("prune the buckets of keys: %w", err)
	}
	if err := s.deleteSome(ctx, expiredBatches, deleteBatches, ago(policy.Completed)); err != nil {
		return pruned, fmt.Errorf("prune batches: %w", err)
	}
	if err := s.deleteSome(ctx, goneBudgets, deleteBudgets, ago(policy.Failed)); err != nil {
		return pruned, fmt.Errorf("prune the budgets of runs: %w", err)
	}
	return pruned, nil
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

// deleteSome deletes some of what a query selects. It writes only when there is
// any.
func (s *Store) deleteSome(ctx context.Context, selection, deletion string, before int64) error {
	some := false
	err := s.readers.query(ctx, func(row scanner) error { return row.Scan(&some) }, `SELECT EXISTS (`+selection+`)`, before, 1)
	if err != nil || !some {
		return err
	}
	return s.writer.transaction(ctx, func(t *tx) error {
		_, err := t.exec(deletion, before, pruneAtOnce)
		return err
	})
}

func ago(age time.Duration) int64 { return time.Now().Add(-age).UnixMicro() }

// look judges the oldest of each kind.
func (s *Store) look(ctx context.Context, policy persistence.RetentionPolicy) (persistence.Expiry, error) {
	var found persistence.Expiry
	now := time.Now().UnixMicro()
	err := s.readers.query(ctx, func(row scanner) error {
		var kind, name string
		var at int64
		if err := row.Scan(&kind, &name, &at); err != nil {
			return err
		}
		return found.Add(policy, kind, name, time.Duration(now-at)*time.Microsecond)
	}, oldestOfAll, now)
	if err != nil {
		return persistence.Expiry{}, fmt.Errorf("look for what has expired: %w", err)
	}
	return found, nil
}

// The index leads from each state and queue to the next, and in each to the
// run that ended first: what is kept is not read.
const oldestOfAll = `
WITH RECURSIVE kind (state, queue) AS (
	VALUES ('completed', ''), ('cancelled', ''), ('failed', ''), ('quarantined', '')
	UNION ALL
	SELECT kind.state, (
		SELECT run.queue
		FROM workflow_runs AS run
		WHERE run.finished_at IS NOT NULL AND run.state = kind.state AND run.queue > kind.queue
		ORDER BY run.queue
		LIMIT 1
	)
	FROM kind
	WHERE kind.queue IS NOT NULL
), first (what, name, at) AS (
	SELECT kind.state, kind.queue, (
		SELECT run.finished_at
		FROM workflow_runs AS run
		WHERE run.finished_at IS NOT NULL AND run.state = kind.state AND run.queue = kind.queue
			AND run.workflow <> '` + persistence.RetentionWorkflow + `' AND ` + countedNoMore + `
		ORDER BY run.finished_at
		LIMIT 1
	)
	FROM kind
	WHERE kind.queue <> ''
	UNION ALL
	SELECT '` + persistence.DoneMessage + `', '', (SELECT done_at FROM agent_inbox WHERE done_at IS NOT NULL ORDER BY done_at LIMIT 1)
	UNION ALL
	SELECT '` + persistence.EndedBoot + `', '', (SELECT min(ended_at) FROM node_leases WHERE ` + ownsNothing + `)
	UNION ALL
	SELECT '` + persistence.OldTakeover + `', '', (SELECT declared_at FROM takeovers ORDER BY declared_at LIMIT 1)
	UNION ALL
	SELECT iif(finished_at IS NULL, '` + persistence.RetentionAhead + `', '` + persistence.EndedRetention + `'), id, iif(state = 'running', ?1, due_at)
	FROM workflow_runs
	WHERE workflow = '` + persistence.RetentionWorkflow + `'
)
SELECT what, name, at
FROM first
WHERE at IS NOT NULL`

// countedNoMore leaves out the runs that are counted when their batch ends.
const countedNoMore = `NOT EXISTS (SELECT 1 FROM batches WHERE batches.id = batch_id AND batches.finished_at IS NULL)`

const ownsNothing = `boot NOT IN (SELECT owner FROM workflow_runs WHERE state = 'running')`

// Only the row itself tells for sure that a run has ended: it may be retried
// between the look and the deletion.
const deleteExpired = `
DELETE FROM workflow_runs
WHERE id IN (
	SELECT id FROM workflow_runs
	WHERE finished_at IS NOT NULL AND state = ? AND queue = ? AND finished_at < ? AND ` + countedNoMore + `
	ORDER BY finished_at
	LIMIT ?
)
RETURNING id, entry`

const deletePast = `
DELETE FROM workflow_runs
WHERE id IN (
	SELECT id FROM workflow_runs
	WHERE workflow = '` + persistence.RetentionWorkflow + `' AND finished_at IS NOT NULL
	LIMIT ?
)
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
	deleteRecords = `DELETE FROM step_records WHERE run_id IN (SELECT value FROM json_each(?))`
	deleteResults = `DELETE FROM job_results WHERE job_id IN (SELECT value FROM json_each(?))`
	deleteSignals = `DELETE FROM signals WHERE run_id IN (SELECT value FROM json_each(?))`
)

// deleteRuns deletes the runs of a query, with all that belongs to them, and
// counts them.
func (t *tx) deleteRuns(query string, args ...any) (int, error) {
	var deleted []string
	var newest []int64 // entries of theirs
	err := t.query(func(row scanner) error {
		var id string
		var entry int64
		err := row.Scan(&id, &entry)
		deleted, newest = append(deleted, id), append(newest, entry)
		return err
	}, query, args...)
	if err != nil {
		return 0, err
	}
	entries, err := json.Marshal(newest)
	if err != nil {
		return 0, err
	}
	if _, err := t.exec(deleteHistory, string(entries)); err != nil {
		return 0, err
	}
	list, err := json.Marshal(deleted)
	if err != nil {
		return 0, err
	}
	for _, query := range []string{deleteRecords, deleteResults, deleteSignals} {
		if _, err := t.exec(query, string(list)); err != nil {
			return 0, err
		}
	}
	return len(deleted), nil
}

const (
	deleteMessages  = `DELETE FROM agent_inbox WHERE seq IN (SELECT seq FROM agent_inbox WHERE done_at IS NOT NULL AND done_at < ? LIMIT ?)`
	deleteLeases    = `DELETE FROM node_leases WHERE boot IN (SELECT boot FROM node_leases WHERE ended_at < ? AND ` + ownsNothing + ` LIMIT ?)`
	deleteTakeovers = `DELETE FROM takeovers WHERE boot IN (SELECT boot FROM takeovers WHERE declared_at < ? LIMIT ?)`
)

// deleteRest deletes what is kept beside runs.
func (t *tx) deleteRest(policy persistence.RetentionPolicy, limit int, pruned *persistence.Pruned) error {
	for _, kind := range []struct {
		query string
		age   time.Duration
		count *int
	}{
		{deleteMessages, policy.Completed, &pruned.Messages},
		{deleteLeases, policy.Failed, &pruned.Boots},
		{deleteTakeovers, policy.Takeovers, &pruned.Takeovers},
	} {
		count, err := t.exec(kind.query, ago(kind.age), limit)
		if err != nil {
			return err
		}
		*kind.count = int(count)
	}
	return nil
}
