package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

const listTakeovers = `
SELECT boot, instance_id, judge, detected_by, ground, suspected_at, declared_at, released, quarantined, claimed_at, resumed_at
FROM singularity.takeovers
ORDER BY declared_at DESC
LIMIT $1`

// Takeovers implements [persistence.Membership].
func (s *Store) Takeovers(ctx context.Context, limit int) ([]persistence.Takeover, error) {
	var list []persistence.Takeover
	err := s.query(ctx, func(row scanner) error {
		var t persistence.Takeover
		err := row.Scan(&t.Boot, &t.Instance, &t.Judge, &t.DetectedBy, &t.Ground, &t.SuspectedAt, &t.DeclaredAt,
			&t.Released, &t.Quarantined, &t.ClaimedAt, &t.ResumedAt)
		inUTC(&t.SuspectedAt, &t.DeclaredAt, t.ClaimedAt, t.ResumedAt)
		list = append(list, t)
		return err
	}, listTakeovers, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("list takeovers: %w", err)
	}
	return list, nil
}

// followTakeover looks at the runs that were traced, each by its id. A row that
// the claim, or the first entry of the history after it, wrote last has the
// time of that transaction; else the entry has the times of its owner's clock,
// which cannot be before the declaration or after now.
const followTakeover = `
WITH trace AS (
	SELECT
		CASE WHEN run.seq = traced.seq THEN run.updated_at ELSE entry.started_at END AS claimed_at,
		CASE WHEN run.seq = traced.seq + 1 AND entry.seq IS NOT NULL THEN run.updated_at ELSE entry.finished_at END AS resumed_at
	FROM singularity.takeovers AS takeover
	CROSS JOIN LATERAL unnest(takeover.traced_runs, takeover.traced_epochs, takeover.traced_seqs) AS traced (id, epoch, seq)
	CROSS JOIN LATERAL (
		SELECT found.seq, found.updated_at
		FROM singularity.workflow_runs AS found
		WHERE found.id = traced.id AND found.epoch > traced.epoch AND found.owner IS NOT NULL
		LIMIT 1
	) AS run
	LEFT JOIN LATERAL (
		SELECT checkpoint.seq, checkpoint.started_at, checkpoint.finished_at
		FROM singularity.step_checkpoints AS checkpoint
		WHERE checkpoint.run_id = traced.id AND checkpoint.seq = traced.seq + 1
		LIMIT 1
	) AS entry ON true
	WHERE takeover.boot = $1
), first AS (
	SELECT min(claimed_at) AS claimed_at, min(resumed_at) AS resumed_at
	FROM trace
)
UPDATE singularity.takeovers AS takeover
SET claimed_at = coalesce(takeover.claimed_at, CASE
		WHEN first.claimed_at IS NOT NULL THEN least(greatest(first.claimed_at, takeover.declared_at), clock_timestamp())
	END),
	resumed_at = coalesce(takeover.resumed_at, CASE
		WHEN first.resumed_at IS NOT NULL THEN least(greatest(first.resumed_at, takeover.declared_at), clock_timestamp())
	END)
FROM first
WHERE takeover.boot = $1 AND first.claimed_at IS NOT NULL
RETURNING takeover.resumed_at IS NOT NULL`

// FollowTakeover implements [persistence.Shared].
func (s *Store) FollowTakeover(ctx context.Context, boot persistence.BootID) (known bool, err error) {
	err = s.readers.QueryRow(ctx, followTakeover, string(boot)).Scan(&known)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("follow the takeover of boot %s: %w", boot, translate(s.afterClose(err)))
	}
	return known, nil
}
