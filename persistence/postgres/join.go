package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

// Join implements [persistence.Membership]. It takes a second when a living
// boot has the label, and up to the lease term when one has just died.
func (s *Store) Join(ctx context.Context, boot persistence.Boot) error {
	if err := s.join(ctx, boot); err != nil {
		return fmt.Errorf("join as boot %s: %w", boot.ID, err)
	}
	return nil
}

func (s *Store) join(ctx context.Context, boot persistence.Boot) error {
	_, err := s.sessions.of(boot.ID)
	if err == nil {
		return s.admit(ctx, boot)
	}
	if !errors.Is(err, persistence.ErrFenced) {
		return err
	}
	session, err := openSession(ctx, boot.ID, s.cfg, s.listener)
	if err != nil {
		return err
	}
	if err := s.sessions.add(session); err != nil {
		session.close()
		return err
	}
	s.named(boot.ID)
	if err := s.admit(ctx, boot); err != nil {
		s.sessions.end(boot.ID)
		return err
	}
	return nil
}

// insertBoot adds nothing when the boot is there, or its label has a living one.
const insertBoot = `
WITH lease AS (
	INSERT INTO singularity.node_leases
		(boot, instance_id, hostname, pid, version, capabilities, lock_key, created_at, lease_until, gossip_address, actors_address, api_address)
	VALUES ($1, $2, $3, $4, $5, $6::json, ` + lockKey + `, clock_timestamp(), clock_timestamp() + $7::interval,
		nullif($8, ''), nullif($9, ''), nullif($10, ''))
	ON CONFLICT DO NOTHING
	RETURNING boot, instance_id, hostname, pid, version, capabilities, created_at
)
INSERT INTO singularity.instance_registry AS registry
	(boot, instance_id, hostname, pid, version, capabilities, created_at, status, load, last_heartbeat)
SELECT boot, instance_id, hostname, pid, version, capabilities::jsonb, created_at, 'online', 0, created_at
FROM lease
ON CONFLICT (instance_id) DO UPDATE
SET boot = excluded.boot, hostname = excluded.hostname, pid = excluded.pid, version = excluded.version,
	capabilities = excluded.capabilities, created_at = excluded.created_at, status = excluded.status,
	load = excluded.load, last_heartbeat = excluded.last_heartbeat`

const selectRival = `
SELECT boot, hostname, pid, renewals, ended_at IS NOT NULL, ` + lockIsFree + `, lease_until - clock_timestamp()
FROM singularity.node_leases AS lease
WHERE boot = $1 OR (instance_id = $2 AND ended_at IS NULL)
ORDER BY boot <> $1
LIMIT 1`

// rival is the boot that keeps another from being added: itself, or the one
// that has its label.
type rival struct {
	boot     persistence.BootID
	hostname string
	pid      int
	renewals int64
	ended    bool
	lockFree bool
	left     time.Duration // of its lease
}

func (r rival) charge() persistence.Charge {
	charge := persistence.Charge{Boot: r.boot, Ground: persistence.Lapsed, DetectedBy: persistence.ByJoin}
	if r.lockFree {
		charge.Ground, charge.Renewals = persistence.Crashed, r.renewals
	}
	return charge
}

const (
	// rivalPatience is how much longer than its lease a joining boot waits for
	// the one that has its label.
	rivalPatience = time.Second
	rivalLook     = 50 * time.Millisecond // how often it looks
)

// admit adds the boot, once no living one has its label.
func (s *Store) admit(ctx context.Context, boot persistence.Boot) error {
	deadline := time.NewTimer(s.cfg.LeaseTerm + rivalPatience)
	defer deadline.Stop()
	var first rival
	for {
		added, found, err := s.insertBoot(ctx, boot)
		own := found.boot == boot.ID
		switch {
		case err != nil:
			return translate(s.afterClose(err))
		case added || own && !found.ended:
			return nil
		case own:
			return fmt.Errorf("%w: it has ended", persistence.ErrFenced)
		case found.boot == first.boot && found.renewals > first.renewals:
			return taken(boot, found)
		case found.left <= 0:
			ended, err := s.end(ctx, found.charge(), "")
			if err != nil {
				return err
			}
			if ended {
				continue
			}
		case found.boot != first.boot:
			first = found
		}
		select {
		case <-time.After(rivalLook):
		case <-deadline.C:
			return taken(boot, found)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// insertBoot adds the boot, or returns what stood in the way. It does not use
// the session, whose commits a crash of the server may undo.
func (s *Store) insertBoot(ctx context.Context, boot persistence.Boot) (added bool, by rival, err error) {
	result, err := s.readers.Exec(ctx, insertBoot, string(boot.ID), boot.Instance, boot.Hostname, boot.PID, boot.Version,
		cmp.Or(boot.Capabilities, "{}"), s.cfg.LeaseTerm, boot.Gossip, boot.Actors, boot.API)
	if err != nil || result.RowsAffected() > 0 {
		return err == nil, by, err
	}
	err = s.readers.QueryRow(ctx, selectRival, string(boot.ID), boot.Instance).Scan(
		&by.boot, &by.hostname, &by.pid, &by.renewals, &by.ended, &by.lockFree, &by.left)
	if errors.Is(err, pgx.ErrNoRows) { // it has just ended
		return s.insertBoot(ctx, boot)
	}
	return false, by, err
}

func taken(boot persistence.Boot, by rival) error {
	return fmt.Errorf("%w: %q is process %d on %s (boot %s); stop that one, or give this one another id",
		persistence.ErrInstanceTaken, boot.Instance, by.pid, by.hostname, by.boot)
}
