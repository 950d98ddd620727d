package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

// stillDead tells of a row of node_leases, as lease, that the boot has not
// ended and that the charge against it holds. A joining boot that wants the
// label of another has no lease yet and judges with $4 empty.
const stillDead = `
lease.boot = $1 AND lease.ended_at IS NULL
AND CASE $2::text
	WHEN 'crashed' THEN lease.renewals = $3 AND ` + lockIsFree + `
	ELSE lease.lease_until <= clock_timestamp()
END
AND ($4::text = '' OR EXISTS (
	SELECT
	FROM singularity.node_leases AS judge
	WHERE judge.boot = $4 AND judge.ended_at IS NULL AND judge.lease_until > clock_timestamp()
))`

// evict ends the sessions of a boot, so that nothing that it has begun stands
// in the way. Those of another role are left to their time limits.
const evict = `
SELECT pg_terminate_backend(activity.pid)
FROM singularity.node_leases AS lease
JOIN pg_stat_activity AS activity ON activity.application_name = $5 AND activity.usename = current_user
WHERE ` + stillDead

// evicting is switched off by fault tests: the fences hold without it.
var evicting = true

// declareDead takes the strongest lock of the row: a claim, which holds a weak
// one, is over before, or begins after and finds the boot dead.
const declareDead = `
WITH guilty AS (
	SELECT lease.boot
	FROM singularity.node_leases AS lease
	WHERE ` + stillDead + `
	FOR UPDATE
), ended AS (
	UPDATE singularity.node_leases AS lease
	SET state = 'dead', ended_at = clock_timestamp(), ended_by = $2
	FROM guilty
	WHERE lease.boot = guilty.boot
	RETURNING lease.boot, lease.instance_id, lease.ended_at
), recorded AS (
	INSERT INTO singularity.takeovers (boot, instance_id, judge, detected_by, ground, suspected_at, declared_at)
	SELECT boot, instance_id, $4, $5, $2, ended_at - $6::interval, ended_at
	FROM ended
), published AS (
	UPDATE singularity.instance_registry AS registry
	SET status = 'offline', load = 0
	FROM ended
	WHERE registry.boot = ended.boot
)
SELECT EXISTS (SELECT FROM ended)`

// limitLockWait holds for a transaction: a pooler's connection has no settings.
var limitLockWait = "SET LOCAL lock_timeout = " + millis(time.Second)

// Declare implements [persistence.Shared].
func (s *Store) Declare(ctx context.Context, judge persistence.BootID, charge persistence.Charge) (bool, error) {
	ended, err := s.end(ctx, charge, judge)
	if err != nil {
		return false, fmt.Errorf("declare boot %s dead: %w", charge.Boot, err)
	}
	return ended, nil
}

func (s *Store) end(ctx context.Context, charge persistence.Charge, judge persistence.BootID) (ended bool, err error) {
	err = pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitLockWait); err != nil {
			return err
		}
		against := []any{string(charge.Boot), string(charge.Ground), charge.Renewals, string(judge)}
		if evicting {
			if _, err := tx.Exec(ctx, evict, append(against, nameOf(charge.Boot))...); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, declareDead, append(against, charge.DetectedBy, charge.SuspectedFor)...).Scan(&ended)
	})
	return ended, translate(s.afterClose(err))
}
