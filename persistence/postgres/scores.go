package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/workflow"
)

const recordColumns = `record.run_id, record.seq, record.number, record.doc, record.stored_at, record.scores, coalesce(record.rescored, 0)`

func scanRecord(row scanner) (persistence.Record, error) {
	var record persistence.Record
	var stored *time.Time
	var scores []byte
	err := row.Scan((*[16]byte)(&record.Run), &record.Seq, &record.Number, (*[]byte)(&record.Doc), &stored, &scores, &record.Rescored)
	if err != nil {
		return record, err
	}
	if stored != nil {
		record.StoredAt = stored.UTC()
	}
	record.Scores, err = persistence.DecodeScores(scores)
	return record, err
}

const recordsOfRun = `
SELECT ` + recordColumns + `
FROM singularity.step_records AS record
WHERE record.run_id = $1 AND record.kind = '` + persistence.CountedKind + `'
ORDER BY record.seq, record.number`

// RecordsOf implements [persistence.Scores].
func (s *Store) RecordsOf(ctx context.Context, run workflow.RunID) ([]persistence.Record, error) {
	var records []persistence.Record
	err := s.query(ctx, func(row scanner) error {
		record, err := scanRecord(row)
		records = append(records, record)
		return err
	}, recordsOfRun, [16]byte(run))
	if err == nil && len(records) == 0 {
		_, err = s.Run(ctx, run)
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("records of run %s: %w", run, err)
	}
	return records, nil
}

// Whoever deletes the run waits for this, and finds the row as it is then.
const lockedRecord = `
SELECT ` + recordColumns + `
FROM singularity.step_records AS record
WHERE record.run_id = $1 AND record.seq = $2 AND record.number = $3 AND record.kind = '` + persistence.CountedKind + `'
FOR NO KEY UPDATE`

const putScores = `
UPDATE singularity.step_records
SET scores = $4, rescored = coalesce(rescored, 0) + 1, recount = CASE WHEN stored_at IS NOT NULL THEN true END
WHERE run_id = $1 AND seq = $2 AND number = $3`

// Score implements [persistence.Scores].
func (s *Store) Score(ctx context.Context, id persistence.RecordID, score workflow.Score) (scores map[string]float64, err error) {
	err = pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitLockWait); err != nil {
			return err
		}
		record, err := scanRecord(tx.QueryRow(ctx, lockedRecord, [16]byte(id.Run), id.Seq, id.Number))
		if errors.Is(err, pgx.ErrNoRows) {
			return workflow.ErrRunNotFound
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
		_, err = tx.Exec(ctx, putScores, [16]byte(id.Run), id.Seq, id.Number, string(document))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("score run %s: %w", id.Run, translate(s.afterClose(err)))
	}
	return scores, nil
}

// Epochs of which the hub would take no row any more are left out.
const listRescored = `
SELECT lease.boot, lease.instance_id, date_bin($1::interval, record.stored_at, 'epoch'::timestamptz) AS epoch
FROM singularity.step_records AS record
JOIN singularity.node_leases AS lease ON lease.boot = ANY (ARRAY[record.owner]) -- leaves one way to look them up
WHERE record.recount AND record.stored_at >= statement_timestamp() - $2::interval + $1::interval
ORDER BY epoch, lease.boot`

// Rescored implements [persistence.Scores].
func (s *Store) Rescored(ctx context.Context) ([]persistence.RescoredEpoch, error) {
	var epochs []persistence.RescoredEpoch
	err := s.query(ctx, func(row scanner) error {
		var epoch persistence.RescoredEpoch
		err := row.Scan(&epoch.Boot, &epoch.Instance, &epoch.Epoch)
		epoch.Epoch = epoch.Epoch.UTC()
		epochs = append(epochs, epoch)
		return err
	}, listRescored, persistence.RecordEpoch, persistence.MaxRecordAge)
	if err != nil {
		return nil, fmt.Errorf("list the epochs that got scores: %w", err)
	}
	return slices.Compact(epochs), nil // of each record that has some
}

// ReadEpoch implements [persistence.Scores].
func (s *Store) ReadEpoch(ctx context.Context, boot persistence.BootID, epoch time.Time, each func(persistence.Record) error) error {
	if err := s.readBetween(ctx, boot, epoch, epoch.Add(persistence.RecordEpoch), each); err != nil {
		return fmt.Errorf("read an epoch of boot %s: %w", boot, err)
	}
	return nil
}

const noteRescored = `
UPDATE singularity.step_records
SET recount = NULL
WHERE run_id = $1 AND seq = $2 AND number = $3 AND rescored = $4`

// NoteRescored implements [persistence.Scores].
func (s *Store) NoteRescored(ctx context.Context, records []persistence.Record) error {
	batch := &pgx.Batch{}
	for _, record := range records {
		batch.Queue(noteRescored, [16]byte(record.Run), record.Seq, record.Number, record.Rescored)
	}
	if err := s.readers.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("note that scores are counted: %w", translate(s.afterClose(err)))
	}
	return nil
}
