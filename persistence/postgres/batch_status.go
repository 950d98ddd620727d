package postgres

import (
	"context"
	"fmt"

	"singularity/workflow"
)

const statusOfBatch = `
SELECT id, coalesce(on_end, ''), callback_id, created_at, sealed_at, finished_at, total
FROM singularity.batches
WHERE id = $1`

const countStates = `
SELECT state, count(*)
FROM singularity.workflow_runs
WHERE batch_id = $1
GROUP BY state`

// Batch implements [persistence.Batches].
func (s *Store) Batch(ctx context.Context, id string) (workflow.BatchStatus, error) {
	status := workflow.BatchStatus{States: map[workflow.State]int{}}
	found := false
	err := s.query(ctx, func(row scanner) (err error) {
		found = true
		return scanBatchStatus(row, &status)
	}, statusOfBatch, id)
	if err == nil && !found {
		err = workflow.ErrBatchNotFound
	}
	if err == nil {
		err = s.query(ctx, func(row scanner) error {
			var state workflow.State
			var runs int
			err := row.Scan(&state, &runs)
			status.States[state] = runs
			return err
		}, countStates, id)
	}
	if err != nil {
		return workflow.BatchStatus{}, fmt.Errorf("batch %s: %w", id, err)
	}
	return status, nil
}

func scanBatchStatus(row scanner, status *workflow.BatchStatus) error {
	var callback workflow.RunID
	err := row.Scan(&status.ID, &status.OnEnd, (*[16]byte)(&callback), &status.CreatedAt, &status.ClosedAt, &status.EndedAt, &status.Total)
	inUTC(&status.CreatedAt, status.ClosedAt, status.EndedAt)
	if status.OnEnd != "" && status.EndedAt != nil {
		status.OnEndRun = callback
	}
	return err
}

const sealBatch = `
UPDATE singularity.batches
SET sealed_at = now()
WHERE id = $1 AND sealed_at IS NULL
RETURNING id`

const batchIsThere = `
SELECT id
FROM singularity.batches
WHERE id = $1`

// CloseBatch implements [persistence.Batches].
func (s *Store) CloseBatch(ctx context.Context, id string) (bool, error) {
	sealed, err := s.batchIDs(ctx, sealBatch, id)
	if err != nil || len(sealed) > 0 {
		return len(sealed) > 0, wrapClose(id, err)
	}
	there, err := s.batchIDs(ctx, batchIsThere, id)
	if err == nil && len(there) == 0 {
		err = workflow.ErrBatchNotFound
	}
	return false, wrapClose(id, err)
}

func wrapClose(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("close batch %s: %w", id, err)
}
