package postgres

import (
	"context"
	"fmt"

	"singularity/persistence"
)

// reassignRuns steps through the index of owners from one to the next, since
// most runs belong to the living. Rows that somebody has locked are left for
// the next time. Takeovers are locked in order, so that nodes that release
// runs of the same boots at the same time do not wait for each other in a ring.
const reassignRuns = `
WITH RECURSIVE owners AS (
	SELECT (SELECT min(owner) FROM singularity.workflow_runs WHERE state = 'running') AS owner
	UNION ALL
	SELECT (SELECT min(run.owner) FROM singularity.workflow_runs AS run WHERE run.state = 'running' AND run.owner > owners.owner)
	FROM owners
	WHERE owners.owner IS NOT NULL
), dead AS MATERIALIZED (
	SELECT owners.owner, coalesce(lease.ended_by <> 'lapsed', true) AS crashed
	FROM owners
	LEFT JOIN singularity.node_leases AS lease ON lease.boot = owners.owner
	WHERE owners.owner IS NOT NULL AND (lease.boot IS NULL OR lease.ended_at IS NOT NULL)
), orphans AS (
	SELECT run.id, dead.owner, run.crash_count + dead.crashed::integer AS crashes
	FROM dead
	CROSS JOIN LATERAL (
		SELECT id, crash_count
		FROM singularity.workflow_runs
		WHERE state = 'running' AND owner = dead.owner
		LIMIT $1
		FOR UPDATE SKIP LOCKED
	) AS run
	LIMIT $1
), released AS (
	UPDATE singularity.workflow_runs AS run
	SET crash_count = orphan.crashes, epoch = run.epoch + 1, owner = NULL, claim_id = NULL, updated_at = now(),
		state = CASE WHEN orphan.crashes < $2 THEN 'available' ELSE 'quarantined' END,
		sort_key = CASE WHEN orphan.crashes < $2 THEN run.due_at + run.priority * interval '60 seconds' END,
		error = CASE WHEN orphan.crashes < $2 THEN run.error ELSE $3 END,
		finished_at = CASE WHEN orphan.crashes >= $2 THEN now() END
	FROM orphans AS orphan
	WHERE run.id = orphan.id
	RETURNING orphan.owner, run.id, run.state, run.sort_key, run.epoch, run.seq
), batch AS MATERIALIZED (
	SELECT owner,
		count(sort_key) AS released,
		count(*) - count(sort_key) AS quarantined,
		(array_agg(id ORDER BY sort_key, id) FILTER (WHERE sort_key IS NOT NULL))[:$4] AS runs,
		(array_agg(epoch ORDER BY sort_key, id) FILTER (WHERE sort_key IS NOT NULL))[:$4] AS epochs,
		(array_agg(seq ORDER BY sort_key, id) FILTER (WHERE sort_key IS NOT NULL))[:$4] AS seqs
	FROM released
	GROUP BY owner
), locked AS MATERIALIZED (
	SELECT boot
	FROM singularity.takeovers
	WHERE boot = ANY (ARRAY(SELECT owner FROM batch))
	ORDER BY boot
	FOR NO KEY UPDATE
), counted AS (
	UPDATE singularity.takeovers AS takeover
	SET released = takeover.released + batch.released, quarantined = takeover.quarantined + batch.quarantined,
		traced_runs = coalesce(takeover.traced_runs, batch.runs),
		traced_epochs = coalesce(takeover.traced_epochs, batch.epochs),
		traced_seqs = coalesce(takeover.traced_seqs, batch.seqs)
	FROM locked
	JOIN batch ON batch.owner = locked.boot
	WHERE takeover.boot = locked.boot
)
SELECT coalesce(sum(released), 0)::bigint, coalesce(sum(quarantined), 0)::bigint
FROM batch`

// Reassign implements [persistence.Membership].
func (s *Store) Reassign(ctx context.Context, limit int) (persistence.Reassigned, error) {
	var done persistence.Reassigned
	err := s.readers.QueryRow(ctx, reassignRuns,
		max(limit, 0), persistence.MaxCrashes, persistence.QuarantineError, persistence.MaxTraced,
	).Scan(&done.Released, &done.Quarantined)
	if err != nil {
		return persistence.Reassigned{}, fmt.Errorf("reassign runs: %w", translate(s.afterClose(err)))
	}
	if done.Released > 0 {
		s.floors.forget()
	}
	return done, nil
}
