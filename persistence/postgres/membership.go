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
