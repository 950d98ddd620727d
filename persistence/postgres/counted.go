package postgres

import (
	"context"
	"fmt"
	"time"

	"singularity/persistence"
)

// The first record from a time on, and what time it is. Whatever is stored by a
// time before that, and is committed, the next statement sees.
const firstRecord = `
SELECT statement_timestamp(), (
	SELECT record.stored_at
	FROM singularity.step_records AS record
	WHERE record.kind = '` + persistence.CountedKind + `' AND record.owner = $1 AND record.stored_at >= greatest(
		coalesce($2, (SELECT lease.counted_until FROM singularity.node_leases AS lease WHERE lease.boot = $1)),
		statement_timestamp() - $3::interval
	)
	ORDER BY record.stored_at
	LIMIT 1
)`

const readRecords = `
SELECT ` + recordColumns + `
FROM singularity.step_records AS record
WHERE record.kind = '` + persistence.CountedKind + `' AND record.owner = $1 AND record.stored_at >= $2 AND record.stored_at < $3
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
	var since, first *time.Time
	if !from.IsZero() {
		since = &from
	}
	var now time.Time
	err := s.query(ctx, func(row scanner) error { return row.Scan(&now, &first) },
		firstRecord, string(boot), since, persistence.MaxRecordAge)
	if err != nil || first == nil {
		return persistence.StretchTo(now.UTC()), err
	}
	stretch, begin := persistence.StretchFrom(first.UTC(), now.UTC())
	return stretch, s.readBetween(ctx, boot, begin, until(stretch), each)
}

func (s *Store) readBetween(ctx context.Context, boot persistence.BootID, from time.Time, until any, each func(persistence.Record) error) error {
	return s.query(ctx, func(row scanner) error {
		record, err := scanRecord(row)
		if err != nil {
			return err
		}
		return each(record)
	}, readRecords, string(boot), from, until)
}

// until bounds the records of a stretch. The last one goes as far as there are
// any, since the clock may have been set back.
func until(stretch persistence.Stretch) any {
	if stretch.More {
		return stretch.Until
	}
	return "infinity"
}

const noteCounted = `
UPDATE singularity.node_leases AS lease
SET counted_until = greatest(lease.counted_until, $2), counted = lease.counted OR $3 AND ` + ownsNothing + `
WHERE lease.boot = $1`

// NoteCounted implements [persistence.Records].
func (s *Store) NoteCounted(ctx context.Context, boot persistence.BootID, until time.Time, last bool) error {
	if _, err := s.readers.Exec(ctx, noteCounted, string(boot), until, last); err != nil {
		return fmt.Errorf("note how far boot %s is counted: %w", boot, translate(s.afterClose(err)))
	}
	return nil
}

const listUncounted = `
SELECT lease.boot, lease.instance_id
FROM singularity.node_leases AS lease
WHERE lease.ended_at IS NOT NULL AND lease.counted = false AND ` + ownsNothing + `
ORDER BY lease.ended_at, lease.boot`

// Uncounted implements [persistence.Records].
func (s *Store) Uncounted(ctx context.Context) ([]persistence.UncountedBoot, error) {
	var boots []persistence.UncountedBoot
	err := s.query(ctx, func(row scanner) error {
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
