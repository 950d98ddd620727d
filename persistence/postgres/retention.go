package postgres

import (
	"context"
	"fmt"

	"singularity/persistence"
)

// pruneAtOnce bounds one transaction.
const pruneAtOnce = 250

// Prune implements [persistence.Retention]. Messages that are done are kept as
// long as completed runs, so that a repeated one is recognised; boots that
// ended, as long as failed runs.
func (s *Store) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (int, error) {
	policy = policy.WithDefaults()
	deleted := 0
	for deleted < limit {
		batch := 0
		err := s.query(ctx, func(row scanner) error { return row.Scan(&batch) },
			deleteExpired, policy.Completed, policy.Failed, min(limit-deleted, pruneAtOnce), policy.Takeovers)
		if err != nil {
			return deleted, fmt.Errorf("prune: %w", err)
		}
		if deleted += batch; batch == 0 {
			break
		}
	}
	if err := s.query(ctx, nil, deleteBuckets, pruneAtOnce); err != nil {
		return deleted, fmt.Errorf("prune the buckets of keys: %w", err)
	}
	return deleted, nil
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

// Rows that somebody else holds are passed over: another node that prunes has
// them, or a run is being retried and has not ended after all. Where nothing
// has expired, nothing is written. The runs of a batch that has not ended are
// counted when it does.
const deleteExpired = `
WITH expired AS MATERIALIZED (
	SELECT run.id
	FROM (VALUES ('completed', $1::interval), ('cancelled', $1), ('failed', $2::interval), ('quarantined', $2)) AS kind (state, age)
	CROSS JOIN LATERAL (
		SELECT id
		FROM singularity.workflow_runs
		WHERE finished_at IS NOT NULL AND state = kind.state AND finished_at < now() - kind.age
			AND (batch_id IS NULL OR (
				SELECT true FROM singularity.batches AS batch WHERE batch.id = batch_id AND batch.finished_at IS NULL LIMIT 1
			) IS NOT TRUE)
		ORDER BY finished_at
		LIMIT $3
		FOR UPDATE SKIP LOCKED
	) AS run
	LIMIT $3
), deleted AS (
	DELETE FROM singularity.workflow_runs AS run USING expired WHERE run.id = ANY (ARRAY[expired.id])
	RETURNING run.id
), checkpoints AS (
	DELETE FROM singularity.step_checkpoints AS entry USING deleted WHERE entry.run_id = ANY (ARRAY[deleted.id])
), records AS (
	DELETE FROM singularity.step_records AS record USING deleted WHERE record.run_id = ANY (ARRAY[deleted.id])
), results AS (
	DELETE FROM singularity.job_results AS result USING deleted WHERE result.job_id = ANY (ARRAY[deleted.id])
), signals AS (
	DELETE FROM singularity.signals AS signal USING deleted WHERE signal.run_id = ANY (ARRAY[deleted.id])
), messages AS (
	DELETE FROM singularity.agent_inbox
	WHERE seq = ANY (ARRAY(
		SELECT seq
		FROM singularity.agent_inbox
		WHERE done_at IS NOT NULL AND done_at < now() - $1
		ORDER BY done_at
		LIMIT $3
		FOR UPDATE SKIP LOCKED
	))
), leases AS (
	DELETE FROM singularity.node_leases
	WHERE boot = ANY (ARRAY(
		SELECT lease.boot
		FROM singularity.node_leases AS lease
		WHERE lease.ended_at IS NOT NULL AND lease.ended_at < now() - $2
			AND (SELECT true FROM singularity.workflow_runs AS run WHERE run.state = 'running' AND run.owner = lease.boot LIMIT 1) IS NOT TRUE
		ORDER BY lease.ended_at
		LIMIT $3
		FOR UPDATE SKIP LOCKED
	))
	RETURNING boot, instance_id
), batches AS (
	DELETE FROM singularity.batches
	WHERE id = ANY (ARRAY(
		SELECT id
		FROM singularity.batches
		WHERE finished_at IS NOT NULL AND finished_at < now() - greatest($1, $2)
		ORDER BY finished_at
		LIMIT $3
		FOR UPDATE SKIP LOCKED
	))
), takeovers AS (
	DELETE FROM singularity.takeovers
	WHERE boot = ANY (ARRAY(
		SELECT boot
		FROM singularity.takeovers
		WHERE declared_at < now() - $4::interval
		ORDER BY declared_at
		LIMIT $3
		FOR UPDATE SKIP LOCKED
	))
), instances AS (
	DELETE FROM singularity.instance_registry AS instance USING leases
	WHERE instance.instance_id = ANY (ARRAY[leases.instance_id]) AND instance.boot = leases.boot
)
SELECT count(*)
FROM deleted`
