package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

const recordColumns = `record.run_id, record.seq, record.number, record.doc, record.stored_at, record.scores, coalesce(record.rescored, 0)`

func scanRecord(row scanner) (record persistence.Record, err error) {
	var id string
	var doc, scores []byte
	var stored sql.NullInt64
	if err = row.Scan(&id, &record.Seq, &record.Number, &doc, &stored, &scores, &record.Rescored); err != nil {
		return record, err
	}
	if record.Run, err = workflow.ParseRunID(id); err != nil {
		return record, err
	}
	record.Doc = doc
	if stored.Valid {
		record.StoredAt = moment(stored.Int64)
	}
	record.Scores, err = persistence.DecodeScores(scores)
	return record, err
}

const recordsOfRun = `
SELECT ` + recordColumns + `
FROM step_records AS record
WHERE record.run_id = ? AND record.kind = '` + persistence.CountedKind + `'
ORDER BY record.seq, record.number`

// RecordsOf implements [persistence.Scores].
func (s *Store) RecordsOf(ctx context.Context, run workflow.RunID) ([]persistence.Record, error) {
	var records []persistence.Record
	err := s.readers.query(ctx, func(row scanner) error {
		record, err := scanRecord(row)
		records = append(records, record)
		return err
	}, recordsOfRun, run.String())
	if err == nil && len(records) == 0 {
		_, err = s.Run(ctx, run)
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("records of run %s: %w", run, err)
	}
	return records, nil
}

const oneRecord = `
SELECT ` + recordColumns + `
FROM step_records AS record
WHERE record.run_id = ? AND record.seq = ? AND record.number = ? AND record.kind = '` + persistence.CountedKind + `'`

const putScores = `
UPDATE step_records
SET scores = ?4, rescored = coalesce(rescored, 0) + 1, recount = CASE WHEN stored_at IS NOT NULL THEN 1 END
WHERE run_id = ?1 AND seq = ?2 AND number = ?3`

// Score implements [persistence.Scores].
func (s *Store) Score(ctx context.Context, id persistence.RecordID, score workflow.Score) (scores map[string]float64, err error) {
	err = s.writer.transaction(ctx, func(t *tx) error {
		found := false
		var record persistence.Record
		err := t.query(func(row scanner) (err error) {
			found = true
			record, err = scanRecord(row)
			return err
		}, oneRecord, id.Run.String(), id.Seq, id.Number)
		if err == nil && !found {
			err = workflow.ErrRunNotFound
		}
		if err != nil {
			return err
		}
		var news bool
		if scores, news, err = score.AddTo(record.Scores); err != nil || !news {
			return err
		}
		document, err := json.Marshal(scores)
		if err != nil {
			return err
		}
		_, err = t.exec(putScores, id.Run.String(), id.Seq, id.Number, string(document))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("score run %s: %w", id.Run, err)
	}
	return scores, nil
}

// Epochs of which the hub would take no row any more are left out.
const listRescored = `
SELECT DISTINCT lease.boot, lease.instance_id, record.stored_at / ?1 * ?1 AS epoch
FROM step_records AS record
JOIN node_leases AS lease ON lease.boot = record.owner
WHERE record.recount AND record.stored_at >= ?2
ORDER BY epoch, lease.boot`

// Rescored implements [persistence.Scores].
func (s *Store) Rescored(ctx context.Context) ([]persistence.RescoredEpoch, error) {
	var epochs []persistence.RescoredEpoch
	oldest := now() - (persistence.MaxRecordAge - persistence.RecordEpoch).Microseconds()
	err := s.readers.query(ctx, func(row scanner) error {
		var epoch persistence.RescoredEpoch
		var begin int64
		err := row.Scan(&epoch.Boot, &epoch.Instance, &begin)
		epoch.Epoch = moment(begin)
		epochs = append(epochs, epoch)
		return err
	}, listRescored, persistence.RecordEpoch.Microseconds(), oldest)
	if err != nil {
		return nil, fmt.Errorf("list the epochs that got scores: %w", err)
	}
	return epochs, nil
}

// ReadEpoch implements [persistence.Scores].
func (s *Store) ReadEpoch(ctx context.Context, boot persistence.BootID, epoch time.Time, each func(persistence.Record) error) error {
	if err := s.readBetween(ctx, boot, epoch, epoch.Add(persistence.RecordEpoch).UnixMicro(), each); err != nil {
		return fmt.Errorf("read an epoch of boot %s: %w", boot, err)
	}
	return nil
}

const noteRescored = `
UPDATE step_records
SET recount = NULL
WHERE run_id = ? AND seq = ? AND number = ? AND rescored = ?`

// NoteRescored implements [persistence.Scores].
func (s *Store) NoteRescored(ctx context.Context, records []persistence.Record) error {
	err := s.writer.transaction(ctx, func(t *tx) error {
		for _, record := range records {
			if _, err := t.exec(noteRescored, record.Run.String(), record.Seq, record.Number, record.Rescored); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note that scores are counted: %w", err)
	}
	return nil
}
