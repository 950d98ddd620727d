package sqlite

import (
	"cmp"
	"context"
	"fmt"

	"singularity/persistence"
)

const leaseState = `
SELECT state <> 'left' AND state <> 'dead'
FROM node_leases
WHERE boot = ?`

// alive reports whether a boot may own runs. Within a transaction the answer
// stays as it is.
func (t *tx) alive(boot persistence.BootID) (alive bool, err error) {
	if alive, known := t.leases[boot]; known {
		return alive, nil
	}
	err = t.query(func(row scanner) error { return row.Scan(&alive) }, leaseState, string(boot))
	if err != nil {
		return false, err
	}
	if t.leases == nil {
		t.leases = map[persistence.BootID]bool{}
	}
	t.leases[boot] = alive
	return alive, nil
}

const insertLease = `
INSERT INTO node_leases (boot, instance_id, hostname, pid, version, capabilities, created_at, gossip_address, actors_address, api_address)
VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, ''), nullif(?, ''))
ON CONFLICT (boot) DO NOTHING`

// Join implements [persistence.Membership].
func (s *Store) Join(ctx context.Context, boot persistence.Boot) error {
	err := s.writer.transaction(ctx, func(t *tx) error {
		_, err := t.exec(insertLease, string(boot.ID), boot.Instance, boot.Hostname, boot.PID, boot.Version,
			cmp.Or(boot.Capabilities, "{}"), t.at, boot.Gossip, boot.Actors, boot.API)
		if err != nil {
			return err
		}
		alive, err := t.alive(boot.ID)
		if err == nil && !alive {
			err = fmt.Errorf("%w: it has ended", persistence.ErrFenced)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("join as boot %s: %w", boot.ID, err)
	}
	return nil
}

const endLease = `
UPDATE node_leases
SET state = 'left', ended_at = ?
WHERE boot = ? AND ended_at IS NULL`

// Leave implements [persistence.Membership].
func (s *Store) Leave(ctx context.Context, boot persistence.BootID) error {
	err := s.writer.transaction(ctx, func(t *tx) error {
		_, err := t.exec(endLease, t.at, string(boot))
		return err
	})
	if err != nil {
		return fmt.Errorf("leave as boot %s: %w", boot, err)
	}
	return nil
}

const insertTakeovers = `
INSERT INTO takeovers (boot, instance_id, judge, detected_by, ground, suspected_at, declared_at)
SELECT boot, instance_id, '', ?1, ?2, ?3, ?3
FROM node_leases
WHERE ended_at IS NULL`

const endLeases = `
UPDATE node_leases
SET state = 'dead', ended_at = ?
WHERE ended_at IS NULL`

// endBoots ends the boots of processes before this one: holding the lock
// proves that none of them lives.
func (s *Store) endBoots(ctx context.Context) error {
	return s.writer.transaction(ctx, func(t *tx) error {
		if _, err := t.exec(insertTakeovers, persistence.ByLock, string(persistence.Crashed), t.at); err != nil {
			return err
		}
		_, err := t.exec(endLeases, t.at)
		return err
	})
}

const listMembers = `
SELECT member.instance_id, boot.boot, member.hostname, member.pid, member.status, member.load, member.capabilities,
	coalesce(boot.ended_at, ?), boot.created_at, member.version,
	iif(boot.ended_at IS NULL, coalesce(boot.gossip_address, ''), ''),
	iif(boot.ended_at IS NULL, coalesce(boot.actors_address, ''), ''),
	iif(boot.ended_at IS NULL, coalesce(boot.api_address, ''), '')
FROM instance_registry AS member
JOIN node_leases AS boot USING (instance_id)
WHERE NOT EXISTS (
	SELECT 1
	FROM node_leases AS later
	WHERE later.instance_id = boot.instance_id AND (later.created_at, later.boot) > (boot.created_at, boot.boot)
)
ORDER BY member.last_heartbeat DESC, member.instance_id`

// Members implements [persistence.Membership].
func (s *Store) Members(ctx context.Context) ([]persistence.Member, error) {
	var members []persistence.Member
	err := s.readers.query(ctx, func(row scanner) error {
		var m persistence.Member
		var heartbeat, created int64
		err := row.Scan(&m.Instance, &m.Boot, &m.Hostname, &m.PID, &m.Status, &m.Load, &m.Capabilities,
			&heartbeat, &created, &m.Version, &m.Gossip, &m.Actors, &m.API)
		m.LastHeartbeat, m.CreatedAt = moment(heartbeat), moment(created)
		members = append(members, m)
		return err
	}, listMembers, now())
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return members, nil
}
