package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/workflow"
)

// InsertBatch implements [persistence.Batches]. Pages of a batch are added one
// after the other.
func (s *Store) InsertBatch(ctx context.Context, page persistence.BatchPage, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	return s.insertPage(ctx, &page, persistence.InBatch(page, inserts))
}

const ensureBatch = `
INSERT INTO singularity.batches (id, total, on_end, callback_id, created_at)
VALUES ($1, 0, nullif($2, ''), $3, now())
ON CONFLICT (id) DO NOTHING`

// batchColumns are what scanBatch reads.
const batchColumns = `id, coalesce(on_end, ''), callback_id, sealed_at IS NOT NULL`

func scanBatch(row scanner) (batch persistence.BatchPage, err error) {
	err = row.Scan(&batch.ID, &batch.OnEnd, (*[16]byte)(&batch.CallbackID), &batch.Last)
	return batch, err
}

const lockedBatch = `
SELECT ` + batchColumns + `
FROM singularity.batches
WHERE id = $1
FOR NO KEY UPDATE`

// lockBatch makes the batch of a page if there is none, and keeps it from ending
// until the transaction does.
func lockBatch(ctx context.Context, tx pgx.Tx, page persistence.BatchPage) (persistence.BatchPage, error) {
	if _, err := tx.Exec(ctx, ensureBatch, page.ID, page.OnEnd, [16]byte(page.CallbackID)); err != nil {
		return persistence.BatchPage{}, err
	}
	return scanBatch(tx.QueryRow(ctx, lockedBatch, page.ID))
}

const growBatch = `
UPDATE singularity.batches
SET total = total + $2, sealed_at = coalesce(sealed_at, CASE WHEN $3::boolean THEN now() END)
WHERE id = $1`

// addToBatch adds what a page brings to its batch, which is locked.
func addToBatch(ctx context.Context, tx pgx.Tx, page, batch persistence.BatchPage, added int) error {
	if err := persistence.CheckPage(page, batch, added); err != nil {
		return err
	}
	if added == 0 && page.Last == batch.Last {
		return nil
	}
	_, err := tx.Exec(ctx, growBatch, page.ID, added, page.Last)
	return err
}

const listOpenBatches = `
SELECT id
FROM singularity.batches
WHERE finished_at IS NULL
ORDER BY id`

// OpenBatches implements [persistence.Batches].
func (s *Store) OpenBatches(ctx context.Context) ([]string, error) {
	open, err := s.batchIDs(ctx, listOpenBatches)
	if err != nil {
		return nil, fmt.Errorf("list the open batches: %w", err)
	}
	return open, nil
}

// LIMIT keeps this from being joined in any other way than batch by batch.
const noneGoesOn = `
	(SELECT true FROM singularity.workflow_runs AS run WHERE run.batch_id = batch.id AND run.finished_at IS NULL LIMIT 1) IS NOT TRUE`

const ripeBatches = `
SELECT batch.id
FROM singularity.batches AS batch
WHERE batch.id = ANY ($1::text[]) AND batch.sealed_at IS NOT NULL AND batch.finished_at IS NULL AND ` + noneGoesOn

// RipeBatches implements [persistence.Batches]. It locks nothing, so that looks
// do not keep each other from ending a batch.
func (s *Store) RipeBatches(ctx context.Context, ids []string) ([]string, error) {
	ripe, err := s.batchIDs(ctx, ripeBatches, ids)
	if err != nil {
		return nil, fmt.Errorf("look at %d batches: %w", len(ids), err)
	}
	return ripe, nil
}

func (s *Store) batchIDs(ctx context.Context, query string, args ...any) (ids []string, err error) {
	err = s.query(ctx, func(row scanner) error {
		var id string
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, query, args...)
	return ids, err
}

// EndBatch implements [persistence.Batches].
func (s *Store) EndBatch(ctx context.Context, id string, callback persistence.Callback) (bool, error) {
	err := pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error { return endBatch(ctx, tx, id, callback) })
	switch {
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, errUnfinished):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("end batch %s: %w", id, translate(s.afterClose(err)))
	}
	s.floors.forget() // the callback's run may come where claims have been
	return true, nil
}

const lockedRipeBatch = `
SELECT ` + batchColumns + `
FROM singularity.batches
WHERE id = $1 AND sealed_at IS NOT NULL AND finished_at IS NULL
FOR NO KEY UPDATE SKIP LOCKED`

// The lock came first: what is counted here was committed before the batch ends.
const countBatch = `
SELECT count(*), count(*) FILTER (WHERE run.state = 'completed'), count(*) FILTER (WHERE run.state = 'failed'),
	count(*) FILTER (WHERE run.state = 'cancelled'), count(*) FILTER (WHERE run.state = 'quarantined'),
	count(*) FILTER (WHERE run.finished_at IS NULL)
FROM singularity.workflow_runs AS run
WHERE run.batch_id = $1`

const endOfBatch = `
UPDATE singularity.batches
SET total = $2, finished_at = now()
WHERE id = $1`

var errUnfinished = errors.New("runs of the batch go on")

// endBatch gives pgx.ErrNoRows or errUnfinished if the batch cannot end.
func endBatch(ctx context.Context, tx pgx.Tx, id string, callback persistence.Callback) error {
	batch, err := scanBatch(tx.QueryRow(ctx, lockedRipeBatch, id))
	if err != nil {
		return err
	}
	end, unfinished := workflow.BatchEnd{Batch: id}, 0
	err = tx.QueryRow(ctx, countBatch, id).Scan(
		&end.Total, &end.Completed, &end.Failed, &end.Cancelled, &end.Quarantined, &unfinished)
	if err == nil && unfinished > 0 {
		err = errUnfinished
	}
	if err != nil {
		return err
	}
	if batch.OnEnd != "" {
		insert, err := callback(batch, end)
		if err != nil {
			return err
		}
		verdict, err := insertTx(ctx, tx, insert)
		if err = errors.Join(err, verdict.Err); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, endOfBatch, id, end.Total)
	return err
}

// A batch goes with the last of its runs.
const deleteBatches = `
DELETE FROM singularity.batches
WHERE id = ANY (ARRAY(
	SELECT batch.id
	FROM singularity.batches AS batch
	WHERE batch.finished_at IS NOT NULL AND batch.finished_at < now() - $1::interval
		AND (SELECT true FROM singularity.workflow_runs AS run WHERE run.batch_id = batch.id LIMIT 1) IS NOT TRUE
	ORDER BY batch.finished_at
	LIMIT $2
	FOR UPDATE SKIP LOCKED
))`
