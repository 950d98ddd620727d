package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"singularity/persistence"
)

const firstRecord = `
SELECT min(stored_at)
FROM step_records
WHERE kind = '` + persistence.CountedKind + `' AND owner = ?1 AND stored_at >= max(
	coalesce(?2, (SELECT counted_until FROM node_leases WHERE boot = ?1), 0),
	?3
)`

const readRecords = `
SELECT ` + recordColumns + `
FROM step_records AS record
WHERE record.kind = '` + persistence.CountedKind + `' AND record.owner = ? AND record.stored_at >= ? AND record.stored_at < ?
ORDER BY record.stored_at, record.run_id, record.seq, record.number`

// ReadRecords implements [persistence.Records].
func (s *Store) ReadRecords(ctx context.Context, boot persistence.BootID, from time.Time, each func(persistence.Record) error) (persistence.Stretch, error) {
	stretch, err := s.readRecords(ctx, boot, from, each)
	if err != nil {
		return persistence.Stretch{}, fmt.Errorf("read the records of boot %s: %w", boot, err)
	}
	return stretch, nil
}

func (s *Store) readRecords(ctx context.Context, boot persistence.BootID, from time.Time, each func(persistence.Record) error) (persistence.Stretch, error) {
	var since any
	if !from.IsZero() {
		since = from.UnixMicro()
	}
	// A transaction has its time from before it is committed, and the next one
	// begins after that.
	at := now()
	var first sql.NullInt64
	err := s.readers.query(ctx, func(row scanner) error { return row.Scan(&first) },
		firstRecord, string(boot), since, at-persistence.MaxRecordAge.Microseconds())
	if err != nil || !first.Valid {
		return persistence.StretchTo(moment(at)), err
	}
	stretch, begin := persistence.StretchFrom(moment(first.Int64), moment(at))
	return stretch, s.readBetween(ctx, boot, begin, until(stretch), each)
}

func (s *Store) readBetween(ctx context.Context, boot persistence.BootID, from time.Time, until int64, each func(persistence.Record) error) error {
	return s.readers.query(ctx, func(row scanner) error {
		record, err := scanRecord(row)
		if err != nil {
			return err
		}
		return each(record)
	}, readRecords, string(boot), from.UnixMicro(), until)
}

// until bounds the records of a stretch. The last one goes as far as there are
// any, since the clock may have been set back.
func until(stretch persistence.Stretch) int64 {
	if stretch.More {
		return stretch.Until.UnixMicro()
	}
	return math.MaxInt64
}

const noteCounted = `
UPDATE node_leases
SET counted_until = max(coalesce(counted_until, 0), ?), counted = counted OR ? AND ` + ownsNothing + `
WHERE boot = ?`

// NoteCounted implements [persistence.Records].
func (s *Store) NoteCounted(ctx context.Context, boot persistence.BootID, until time.Time, last bool) error {
	err := s.writer.transaction(ctx, func(t *tx) error {
		_, err := t.exec(noteCounted, until.UnixMicro(), last, string(boot))
		return err
	})
	if err != nil {
		return fmt.Errorf("note how far boot %s is counted: %w", boot, err)
	}
	return nil
}

const listUncounted = `
SELECT boot, instance_id
FROM node_leases
WHERE ended_at IS NOT NULL AND counted = 0 AND ` + ownsNothing + `
ORDER BY ended_at, boot`

// Uncounted implements [persistence.Records].
func (s *Store) Uncounted(ctx context.Context) ([]persistence.UncountedBoot, error) {
	var boots []persistence.UncountedBoot
	err := s.readers.query(ctx, func(row scanner) error {
		var boot persistence.UncountedBoot
		err := row.Scan(&boot.Boot, &boot.Instance)
		boots = append(boots, boot)
		return err
	}, listUncounted)
	if err != nil {
		return nil, fmt.Errorf("list the boots that are not counted: %w", err)
	}
	return boots, nil
}
