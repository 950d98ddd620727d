package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"singularity/workflow"
)

const statusOfBatch = `
SELECT id, coalesce(on_end, ''), callback_id, created_at, sealed_at, finished_at, total
FROM batches
WHERE id = ?`

const countStates = `
SELECT state, count(*)
FROM workflow_runs
WHERE batch_id = ?
GROUP BY state`

// Batch implements [persistence.Batches].
func (s *Store) Batch(ctx context.Context, id string) (workflow.BatchStatus, error) {
	status := workflow.BatchStatus{States: map[workflow.State]int{}}
	found := false
	err := s.readers.query(ctx, func(row scanner) error {
		found = true
		return scanBatchStatus(row, &status)
	}, statusOfBatch, id)
	if err == nil && !found {
		err = workflow.ErrBatchNotFound
	}
	if err == nil {
		err = s.readers.query(ctx, func(row scanner) error {
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
	var callback string
	var created int64
	var closed, ended sql.NullInt64
	if err := row.Scan(&status.ID, &status.OnEnd, &callback, &created, &closed, &ended, &status.Total); err != nil {
		return err
	}
	status.CreatedAt, status.ClosedAt, status.EndedAt = moment(created), moments(closed), moments(ended)
	if status.OnEnd == "" || status.EndedAt == nil {
		return nil
	}
	var err error
	status.OnEndRun, err = workflow.ParseRunID(callback)
	return err
}

const sealBatch = `
UPDATE batches
SET sealed_at = ?2
WHERE id = ?1 AND sealed_at IS NULL`

// CloseBatch implements [persistence.Batches].
func (s *Store) CloseBatch(ctx context.Context, id string) (changed bool, err error) {
	err = s.writer.transaction(ctx, func(t *tx) error {
		batch, _, err := t.batch(id)
		switch {
		case err != nil:
			return err
		case batch.ID == "":
			return workflow.ErrBatchNotFound
		}
		sealed, err := t.exec(sealBatch, id, t.at)
		changed = sealed > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("close batch %s: %w", id, err)
	}
	return changed, nil
}
