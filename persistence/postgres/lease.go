package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

var _ persistence.Shared = (*Store)(nil)

// lockIsFree tells of a row of node_leases, as lease, that no session holds its
// lock. A lock with a key of 64 bits is shown as two halves, with objsubid 1.
const lockIsFree = `
NOT EXISTS (
	SELECT
	FROM pg_locks AS lock
	WHERE lock.locktype = 'advisory' AND lock.objsubid = 1 AND lock.granted
		AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND (lock.classid::bigint << 32) | lock.objid::bigint = lease.lock_key
)`

// renewLease returns one row for each suspect, and one without when there is
// none.
const renewLease = `
WITH renewed AS (
	UPDATE singularity.node_leases
	SET renewals = renewals + 1, state = $2, lease_until = clock_timestamp() + $3::interval
	WHERE boot = $1 AND ended_at IS NULL
	RETURNING boot, instance_id
), published AS (
	UPDATE singularity.instance_registry AS registry
	SET status = CASE $2 WHEN 'alive' THEN 'online' ELSE $2 END, load = $5, last_heartbeat = clock_timestamp()
	FROM renewed
	WHERE $4::boolean AND registry.instance_id = renewed.instance_id AND registry.boot = renewed.boot
), suspect AS (
	SELECT other.boot, other.instance_id, other.renewals, other.lock_free, other.time_left
	FROM (
		SELECT boot, instance_id, renewals, ` + lockIsFree + ` AS lock_free, lease_until - clock_timestamp() AS time_left
		FROM singularity.node_leases AS lease
		WHERE ended_at IS NULL AND boot <> $1
	) AS other
	WHERE other.lock_free OR other.time_left <= greatest($3::interval - $6::interval, interval '0') OR other.boot = ANY ($7::text[])
)
SELECT EXISTS (SELECT FROM renewed),
	EXISTS (SELECT FROM singularity.workflow_runs WHERE state = 'running' AND owner < $1)
		OR EXISTS (SELECT FROM singularity.workflow_runs WHERE state = 'running' AND owner > $1),
	(SELECT coalesce(sum(version), 0)::bigint FROM singularity.queues),
	suspect.boot, suspect.instance_id, suspect.renewals, suspect.lock_free, suspect.time_left
FROM (SELECT) AS always
LEFT JOIN suspect ON true`

// late is how long ago a boot has renewed its lease when it is suspected for it.
const late = 1500 * time.Millisecond

// Renew implements [persistence.Shared]. It is one statement, on the boot's own
// session.
func (s *Store) Renew(ctx context.Context, boot persistence.BootID, status persistence.Status) (persistence.Renewal, error) {
	renewal, err := s.renew(ctx, boot, status)
	if errors.Is(err, persistence.ErrFenced) {
		s.sessions.end(boot)
	}
	if err != nil {
		return persistence.Renewal{}, fmt.Errorf("renew the lease of boot %s: %w", boot, err)
	}
	return renewal, nil
}

func (s *Store) renew(ctx context.Context, boot persistence.BootID, status persistence.Status) (renewal persistence.Renewal, err error) {
	session, err := s.sessions.of(boot)
	if err != nil {
		return renewal, err
	}
	alive := false
	suspected := make([]string, len(status.Suspected))
	for i, other := range status.Suspected {
		suspected[i] = string(other)
	}
	err = session.do(ctx, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, renewLease,
			string(boot), string(status.State), s.cfg.LeaseTerm, status.Public, status.Load, late, suspected)
		alive, renewal = false, persistence.Renewal{}
		err := scanAll(rows, func(row scanner) error {
			suspect, err := scanSuspect(row, &alive, &renewal.Elsewhere, &renewal.Queues)
			if suspect.Boot != "" {
				renewal.Suspects = append(renewal.Suspects, suspect)
			}
			return err
		})
		if err == nil {
			renewal.Unbroken = session.unbroken()
		}
		return err
	})
	if err == nil && !alive {
		err = fmt.Errorf("%w: it has ended", persistence.ErrFenced)
	}
	return renewal, translate(err)
}

func scanSuspect(row scanner, more ...any) (persistence.Suspect, error) {
	var boot, instance *string
	var renewals *int64
	var lockFree *bool
	var left *time.Duration
	err := row.Scan(append(more, &boot, &instance, &renewals, &lockFree, &left)...)
	if err != nil || boot == nil {
		return persistence.Suspect{}, err
	}
	return persistence.Suspect{
		Boot: persistence.BootID(*boot), Instance: *instance, Renewals: *renewals, LockFree: *lockFree, Left: *left,
	}, nil
}

// unbroken is how long a session lasts that has just renewed a lease. A server
// that restarts ends all sessions, and one that is promoted had none: the same
// session is the same server.
func (s *session) unbroken() time.Duration {
	if s.renewedFirst.IsZero() {
		s.renewedFirst = time.Now()
		return 0
	}
	return time.Since(s.renewedFirst)
}

// Listen implements [persistence.Shared].
func (s *Store) Listen(listener persistence.Listener) { s.listener = listener }
