package postgres

import (
	"context"
	"fmt"
	"time"

	"singularity/persistence"
)

// pruneAtOnce bounds one transaction.
const pruneAtOnce = 250

// Expired implements [persistence.Retention].
func (s *Store) Expired(ctx context.Context, policy persistence.RetentionPolicy) (persistence.Expiry, error) {
	found, err := s.look(ctx, policy.WithDefaults())
	if err == nil {
		found.Days, err = s.daysAreDue(ctx)
	}
	return found, err
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
		for pruned.Runs < limit {
			batch, atOnce := 0, min(limit-pruned.Runs, pruneAtOnce)
			err := s.query(ctx, func(row scanner) error { return row.Scan(&batch) },
				deleteExpired, kind.State, kind.Queue, policy.Age(kind.State, kind.Queue), atOnce)
			if err != nil {
				return pruned, fmt.Errorf("prune %s runs of queue %s: %w", kind.State, kind.Queue, err)
			}
			if pruned.Runs += batch; batch < atOnce {
				break
			}
		}
	}
	if found.Past {
		if err := s.query(ctx, func(row scanner) error { return row.Scan(new(int)) }, deletePast, pruneAtOnce); err != nil {
			return pruned, fmt.Errorf("prune earlier runs of %s: %w", persistence.RetentionWorkflow, err)
		}
	}
	if found.Rest {
		err = s.query(ctx, func(row scanner) error { return row.Scan(&pruned.Messages, &pruned.Boots, &pruned.Takeovers) },
			deleteRest, policy.Completed, policy.Failed, policy.Takeovers, limit)
		if err != nil {
			return pruned, fmt.Errorf("prune messages, boots and takeovers: %w", err)
		}
	}
	if err := s.query(ctx, nil, deleteBuckets, pruneAtOnce); err != nil {
		return pruned, fmt.Errorf("prune the buckets of keys: %w", err)
	}
	if err := s.query(ctx, nil, deleteBatches, policy.Completed, pruneAtOnce); err != nil {
		return pruned, fmt.Errorf("prune batches: %w", err)
	}
	if err := s.query(ctx, nil, deleteBudgets, policy.Failed, pruneAtOnce); err != nil {
		return pruned, fmt.Errorf("prune the budgets of runs: %w", err)
	}
	if pruned.Runs < limit { // this is the last turn
		if pruned.Days, err = s.turnDays(ctx); err != nil {
			return pruned, fmt.Errorf("make and drop days of checkpoints: %w", err)
		}
	}
	return pruned, nil
}

// A bucket that is full again is as one that is not there.
const deleteBuckets = `
DELETE FROM singularity.queue_buckets AS bucket
USING (
	SELECT spent.queue, spent.key
	FROM singularity.queues AS queue
	CROSS JOIN LATERAL (
		SELECT other.queue, other.key
		FROM singularity.queue_buckets AS other
		WHERE other.queue = queue.name AND other.keyed = true
			AND other.refilled_at < now() - coalesce(make_interval(secs => least(
				coalesce(queue.key_burst, greatest(1, queue.key_rate)) / nullif(queue.key_rate, 0), 1e9)), interval '0')
		LIMIT $1
		FOR UPDATE SKIP LOCKED
	) AS spent
) AS filled
WHERE bucket.queue = filled.queue AND bucket.keyed = true AND bucket.key = filled.key`

// look judges the oldest of each kind.
func (s *Store) look(ctx context.Context, policy persistence.RetentionPolicy) (persistence.Expiry, error) {
	var found persistence.Expiry
	err := s.query(ctx, func(row scanner) error {
		var kind, name string
		var age int64
		if err := row.Scan(&kind, &name, &age); err != nil {
			return err
		}
		return found.Add(policy, kind, name, time.Duration(age)*time.Microsecond)
	}, oldestOfAll)
	if err != nil {
		return persistence.Expiry{}, fmt.Errorf("look for what has expired: %w", err)
	}
	return found, nil
}

// The index leads from each state and queue to the next, and in each to the
// run that ended first: what is kept is not read.
const oldestOfAll = `
WITH RECURSIVE kind (state, queue) AS (
	SELECT state, '' FROM (VALUES ('completed'), ('cancelled'), ('failed'), ('quarantined')) AS ended (state)
	UNION ALL
	SELECT kind.state, (
		SELECT run.queue
		FROM singularity.workflow_runs AS run
		WHERE run.finished_at IS NOT NULL AND run.state = kind.state AND run.queue > kind.queue
		ORDER BY run.queue
		LIMIT 1
	)
	FROM kind
	WHERE kind.queue IS NOT NULL
), first (what, name, at) AS (
	SELECT kind.state, kind.queue, (
		SELECT run.finished_at
		FROM singularity.workflow_runs AS run
		WHERE run.finished_at IS NOT NULL AND run.state = kind.state AND run.queue = kind.queue
			AND run.workflow <> '` + persistence.RetentionWorkflow + `' AND ` + countedNoMore + `
		ORDER BY run.finished_at
		LIMIT 1
	)
	FROM kind
	WHERE kind.queue <> ''
	UNION ALL
	SELECT '` + persistence.DoneMessage + `', '', (SELECT done_at FROM singularity.agent_inbox WHERE done_at IS NOT NULL ORDER BY done_at LIMIT 1)
	UNION ALL
	SELECT '` + persistence.EndedBoot + `', '', (
		SELECT lease.ended_at
		FROM singularity.node_leases AS lease
		WHERE lease.ended_at IS NOT NULL AND ` + ownsNothing + `
		ORDER BY lease.ended_at
		LIMIT 1
	)
	UNION ALL
	SELECT '` + persistence.OldTakeover + `', '', (SELECT declared_at FROM singularity.takeovers ORDER BY declared_at LIMIT 1)
	UNION ALL
	SELECT CASE WHEN finished_at IS NULL THEN '` + persistence.RetentionAhead + `' ELSE '` + persistence.EndedRetention + `' END, id::text, CASE state WHEN 'running' THEN now() ELSE due_at END
	FROM singularity.workflow_runs
	WHERE workflow = '` + persistence.RetentionWorkflow + `' AND deadline IS NULL
)
SELECT what, name, (extract(epoch FROM now() - at) * 1000000)::bigint
FROM first
WHERE at IS NOT NULL`

// countedNoMore leaves out the runs that are counted when their batch ends.
const countedNoMore = `(batch_id IS NULL OR (
			SELECT true FROM singularity.batches AS batch WHERE batch.id = batch_id AND batch.finished_at IS NULL LIMIT 1
		) IS NOT TRUE)`

const ownsNothing = `(SELECT true FROM singularity.workflow_runs AS run WHERE run.state = 'running' AND run.owner = lease.boot LIMIT 1) IS NOT TRUE`

// Rows that somebody else holds are passed over: another node that prunes has
// them, or a run is being retried and has not ended after all.
var deleteExpired = `
WITH ` + daysOver + `, expired AS MATERIALIZED (
	SELECT id
	FROM singularity.workflow_runs
	WHERE finished_at IS NOT NULL AND state = $1 AND queue = $2 AND finished_at < now() - $3::interval AND ` + countedNoMore + `
	ORDER BY finished_at
	LIMIT $4
	FOR UPDATE SKIP LOCKED
)` + deleteWhole

var deletePast = `
WITH ` + daysOver + `, expired AS MATERIALIZED (
	SELECT id
	FROM singularity.workflow_runs
	WHERE workflow = '` + persistence.RetentionWorkflow + `' AND deadline IS NULL AND (finished_at IS NOT NULL) IS TRUE
	LIMIT $1
	FOR UPDATE SKIP LOCKED
)` + deleteWhole

// The checkpoints of a day that is over go with it.
var deleteWhole = `, deleted AS (
	DELETE FROM singularity.workflow_runs AS run USING expired WHERE run.id = ANY (ARRAY[expired.id])
	RETURNING run.id
), checkpoints AS (
	DELETE FROM singularity.step_checkpoints AS entry USING deleted
	WHERE entry.run_id = ANY (ARRAY[deleted.id]) AND (` + isOver("deleted.id") + `) IS NOT TRUE
), records AS (
	DELETE FROM singularity.step_records AS record USING deleted WHERE record.run_id = ANY (ARRAY[deleted.id])
), results AS (
	DELETE FROM singularity.job_results AS result USING deleted WHERE result.job_id = ANY (ARRAY[deleted.id])
), signals AS (
	DELETE FROM singularity.signals AS signal USING deleted WHERE signal.run_id = ANY (ARRAY[deleted.id])
)
SELECT count(*)
FROM deleted`

const deleteRest = `
WITH messages AS (
	DELETE FROM singularity.agent_inbox
	WHERE seq = ANY (ARRAY(
		SELECT seq
		FROM singularity.agent_inbox
		WHERE done_at IS NOT NULL AND done_at < now() - $1::interval
		ORDER BY done_at
		LIMIT $4
		FOR UPDATE SKIP LOCKED
	))
	RETURNING seq
), leases AS (
	DELETE FROM singularity.node_leases
	WHERE boot = ANY (ARRAY(
		SELECT lease.boot
		FROM singularity.node_leases AS lease
		WHERE lease.ended_at IS NOT NULL AND lease.ended_at < now() - $2::interval AND ` + ownsNothing + `
		ORDER BY lease.ended_at
		LIMIT $4
		FOR UPDATE SKIP LOCKED
	))
	RETURNING boot, instance_id
), takeovers AS (
	DELETE FROM singularity.takeovers
	WHERE boot = ANY (ARRAY(
		SELECT boot
		FROM singularity.takeovers
		WHERE declared_at < now() - $3::interval
		ORDER BY declared_at
		LIMIT $4
		FOR UPDATE SKIP LOCKED
	))
	RETURNING boot
), instances AS (
	DELETE FROM singularity.instance_registry AS instance USING leases
	WHERE instance.instance_id = ANY (ARRAY[leases.instance_id]) AND instance.boot = leases.boot
)
SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM leases), (SELECT count(*) FROM takeovers)`
