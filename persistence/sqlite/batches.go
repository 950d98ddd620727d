package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

// InsertBatch implements [persistence.Batches].
func (s *Store) InsertBatch(ctx context.Context, page persistence.BatchPage, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if err := persistence.CheckAll(inserts); err != nil {
		return nil, err
	}
	var list []persistence.Inserted
	err := s.writer.transaction(ctx, func(t *tx) (err error) {
		if list, err = t.insertAll(ctx, persistence.InBatch(page, inserts)); err != nil {
			return err
		}
		return t.addToBatch(page, persistence.Added(list))
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

const ensureBatch = `
INSERT INTO batches (id, total, on_end, callback_id, created_at)
VALUES (?, 0, ?, ?, ?)
ON CONFLICT DO NOTHING`

const readBatch = `
SELECT id, coalesce(on_end, ''), callback_id, sealed_at IS NOT NULL, finished_at IS NOT NULL
FROM batches
WHERE id = ?`

const growBatch = `
UPDATE batches
SET total = total + ?2, sealed_at = coalesce(sealed_at, CASE WHEN ?3 THEN ?4 END)
WHERE id = ?1`

func (t *tx) addToBatch(page persistence.BatchPage, added int) error {
	if _, err := t.exec(ensureBatch, page.ID, text(page.OnEnd), page.CallbackID.String(), t.at); err != nil {
		return err
	}
	batch, _, err := t.batch(page.ID)
	if err != nil {
		return err
	}
	if err := persistence.CheckPage(page, batch, added); err != nil {
		return err
	}
	if added == 0 && page.Last == batch.Last {
		return nil
	}
	_, err = t.exec(growBatch, page.ID, added, page.Last, t.at)
	return err
}

// batch reads a batch, and whether it has ended. One that is not there has.
func (t *tx) batch(id string) (batch persistence.BatchPage, ended bool, err error) {
	ended = true
	err = t.query(func(row scanner) error {
		var callback string
		err := row.Scan(&batch.ID, &batch.OnEnd, &callback, &batch.Last, &ended)
		if err == nil {
			batch.CallbackID, err = workflow.ParseRunID(callback)
		}
		return err
	}, readBatch, id)
	return batch, ended, err
}

const listOpenBatches = `
SELECT id
FROM batches
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

// goesOn finds an unfinished run of a batch.
const goesOn = `
SELECT 1 FROM workflow_runs AS run INDEXED BY workflow_runs_batch
WHERE run.batch_id = batch.id AND run.batch_id IS NOT NULL AND run.finished_at IS NULL`

const ripeBatches = `
SELECT batch.id
FROM json_each(?) AS asked
JOIN batches AS batch ON batch.id = asked.value
WHERE batch.sealed_at IS NOT NULL AND batch.finished_at IS NULL AND NOT EXISTS (` + goesOn + `)`

// RipeBatches implements [persistence.Batches].
func (s *Store) RipeBatches(ctx context.Context, ids []string) ([]string, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	ripe, err := s.batchIDs(ctx, ripeBatches, string(list))
	if err != nil {
		return nil, fmt.Errorf("look at %d batches: %w", len(ids), err)
	}
	return ripe, nil
}

func (s *Store) batchIDs(ctx context.Context, query string, args ...any) (ids []string, err error) {
	err = s.readers.query(ctx, func(row scanner) error {
		var id string
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, query, args...)
	return ids, err
}

// EndBatch implements [persistence.Batches].
func (s *Store) EndBatch(ctx context.Context, id string, callback persistence.Callback) (ended bool, err error) {
	err = s.writer.transaction(ctx, func(t *tx) (err error) {
		ended, err = t.endBatch(id, callback)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("end batch %s: %w", id, err)
	}
	return ended, nil
}

const countBatch = `
SELECT count(*), count(*) FILTER (WHERE state = 'completed'), count(*) FILTER (WHERE state = 'failed'),
	count(*) FILTER (WHERE state = 'cancelled'), count(*) FILTER (WHERE state = 'quarantined'),
	count(*) FILTER (WHERE finished_at IS NULL)
FROM workflow_runs
WHERE batch_id = ?`

const endBatch = `
UPDATE batches
SET total = ?2, finished_at = ?3
WHERE id = ?1`

func (t *tx) endBatch(id string, callback persistence.Callback) (bool, error) {
	batch, ended, err := t.batch(id)
	if err != nil || ended || !batch.Last {
		return false, err
	}
	end, unfinished := workflow.BatchEnd{Batch: id}, 0
	err = t.query(func(row scanner) error {
		return row.Scan(&end.Total, &end.Completed, &end.Failed, &end.Cancelled, &end.Quarantined, &unfinished)
	}, countBatch, id)
	if err != nil || unfinished > 0 {
		return false, err
	}
	if batch.OnEnd != "" {
		if err := t.callBack(batch, end, callback); err != nil {
			return false, err
		}
	}
	_, err = t.exec(endBatch, id, end.Total, t.at)
	return err == nil, err
}

// callBack adds the run that a batch ends with.
func (t *tx) callBack(batch persistence.BatchPage, end workflow.BatchEnd, callback persistence.Callback) error {
	insert, err := callback(batch, end)
	if err != nil {
		return err
	}
	if err := persistence.Check(insert); err != nil {
		return err
	}
	verdict, err := t.insert(insert)
	if err != nil {
		return err
	}
	return verdict.Err
}

// A batch goes with the last of its runs.
const expiredBatches = `
SELECT id FROM batches
WHERE finished_at IS NOT NULL AND finished_at < ?1 AND NOT EXISTS (SELECT 1 FROM workflow_runs WHERE batch_id = batches.id)
LIMIT ?2`

const deleteBatches = `DELETE FROM batches WHERE id IN (` + expiredBatches + `)`
