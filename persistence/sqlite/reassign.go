package sqlite

import (
	"context"
	"fmt"

	"singularity/persistence"
)

const abandonedRuns = `
SELECT id, owner
FROM workflow_runs INDEXED BY workflow_runs_owned
WHERE state = 'running' AND owner NOT IN (SELECT boot FROM node_leases WHERE ended_at IS NULL)
LIMIT ?`

// abandonedRun is a running run whose owner is dead.
type abandonedRun struct{ id, owner string }

func appendAbandoned(list *[]abandonedRun, row scanner) error {
	var run abandonedRun
	err := row.Scan(&run.id, &run.owner)
	*list = append(*list, run)
	return err
}

const reassignRun = `
UPDATE workflow_runs
SET crash_count = crash_count + 1, epoch = epoch + 1, owner = NULL, claim_id = NULL, updated_at = ?1,
	state = iif(crash_count + 1 < ?2, 'available', 'quarantined'),
	sort_key = iif(crash_count + 1 < ?2, due_at + priority * 60000000, NULL),
	error = iif(crash_count + 1 < ?2, error, ?3),
	finished_at = iif(crash_count + 1 < ?2, NULL, ?1)
WHERE id = ?4
RETURNING state = 'quarantined'`

const countReassigned = `
UPDATE takeovers
SET released = released + ?, quarantined = quarantined + ?
WHERE boot = ?`

// Reassign implements [persistence.Membership]. It writes only when there is
// something to do.
func (s *Store) Reassign(ctx context.Context, limit int) (persistence.Reassigned, error) {
	var done persistence.Reassigned
	var abandoned []abandonedRun
	err := s.readers.query(ctx, func(row scanner) error { return appendAbandoned(&abandoned, row) }, abandonedRuns, max(limit, 0))
	if err == nil && len(abandoned) > 0 {
		err = s.writer.transaction(ctx, func(t *tx) (err error) {
			done, err = t.reassign(limit)
			return err
		})
	}
	if err != nil {
		return persistence.Reassigned{}, fmt.Errorf("reassign runs: %w", err)
	}
	return done, nil
}

func (t *tx) reassign(limit int) (all persistence.Reassigned, err error) {
	var abandoned []abandonedRun
	err = t.query(func(row scanner) error { return appendAbandoned(&abandoned, row) }, abandonedRuns, max(limit, 0))
	if err != nil {
		return all, err
	}
	byOwner := map[string]persistence.Reassigned{}
	for _, run := range abandoned {
		quarantined := false
		err := t.query(func(row scanner) error { return row.Scan(&quarantined) },
			reassignRun, t.at, persistence.MaxCrashes, persistence.QuarantineError, run.id)
		if err != nil {
			return all, err
		}
		count := byOwner[run.owner]
		if quarantined {
			count.Quarantined++
		} else {
			count.Released++
		}
		byOwner[run.owner] = count
	}
	for owner, count := range byOwner {
		if _, err := t.exec(countReassigned, count.Released, count.Quarantined, owner); err != nil {
			return all, err
		}
		all.Released += count.Released
		all.Quarantined += count.Quarantined
	}
	return all, nil
}
