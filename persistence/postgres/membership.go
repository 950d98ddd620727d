package postgres

import (
	"context"
	"fmt"

	"singularity/persistence"
)

const endLease = `
WITH ended AS (
	UPDATE singularity.node_leases
	SET state = 'left', ended_at = clock_timestamp(), ended_by = 'left'
	WHERE boot = $1 AND ended_at IS NULL
	RETURNING boot
)
UPDATE singularity.instance_registry AS registry
SET status = 'offline', load = 0, last_heartbeat = clock_timestamp()
FROM ended
WHERE registry.boot = ended.boot`

// Leave implements [persistence.Membership].
func (s *Store) Leave(ctx context.Context, boot persistence.BootID) error {
	if _, err := s.readers.Exec(ctx, endLease, string(boot)); err != nil {
		return fmt.Errorf("leave as boot %s: %w", boot, translate(s.afterClose(err)))
	}
	s.sessions.end(boot)
	return nil
}

// reassignRuns steps through the index of owners from one to the next, since
// most runs belong to the living. Rows that somebody has locked are left for
// the next time.
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
	SELECT run.id, run.crash_count + dead.crashed::integer AS crashes
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
	RETURNING run.state
)
SELECT count(*) FILTER (WHERE state = 'available'), count(*) FILTER (WHERE state = 'quarantined')
FROM released`

// Reassign implements [persistence.Membership].
func (s *Store) Reassign(ctx context.Context, limit int) (persistence.Reassigned, error) {
	var done persistence.Reassigned
	err := s.readers.QueryRow(ctx, reassignRuns, max(limit, 0), persistence.MaxCrashes, persistence.QuarantineError).
		Scan(&done.Released, &done.Quarantined)
	if err != nil {
		return persistence.Reassigned{}, fmt.Errorf("reassign runs: %w", translate(s.afterClose(err)))
	}
	if done.Released > 0 {
		s.floors.forget()
	}
	return done, nil
}

// listMembers takes the capabilities byte for byte, while the boot's lease is
// there.
const listMembers = `
SELECT member.instance_id, member.boot, member.hostname, member.pid, member.status, member.load,
	coalesce(lease.capabilities::text, member.capabilities::text), member.last_heartbeat, member.created_at, member.version,
	coalesce(living.gossip_address, ''), coalesce(living.actors_address, ''), coalesce(living.api_address, '')
FROM singularity.instance_registry AS member
LEFT JOIN singularity.node_leases AS lease USING (boot)
LEFT JOIN singularity.node_leases AS living ON living.boot = member.boot AND living.ended_at IS NULL
ORDER BY member.last_heartbeat DESC, member.instance_id`

// Members implements [persistence.Membership].
func (s *Store) Members(ctx context.Context) ([]persistence.Member, error) {
	rows, _ := s.readers.Query(ctx, listMembers)
	var members []persistence.Member
	err := scanAll(rows, func(row scanner) error {
		var m persistence.Member
		err := row.Scan(&m.Instance, &m.Boot, &m.Hostname, &m.PID, &m.Status, &m.Load,
			&m.Capabilities, &m.LastHeartbeat, &m.CreatedAt, &m.Version, &m.Gossip, &m.Actors, &m.API)
		m.LastHeartbeat, m.CreatedAt = m.LastHeartbeat.UTC(), m.CreatedAt.UTC()
		members = append(members, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", translate(s.afterClose(err)))
	}
	return members, nil
}
