package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

const heardOf = `
INSERT INTO instances AS i (instance_id, boot_id, queue, heard_at)
VALUES (?, ?, ?, ?)
ON CONFLICT (instance_id) DO UPDATE
SET boot_id = excluded.boot_id, queue = excluded.queue, heard_at = excluded.heard_at
WHERE i.heard_at <= excluded.heard_at`

const upsertRow = `
INSERT INTO counters AS c (instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model) DO UPDATE
SET revision = excluded.revision, rescored = excluded.rescored, counters = excluded.counters
WHERE (c.revision, c.rescored) < (excluded.revision, excluded.rescored)`

const insertSample = `
INSERT INTO samples (id, instance_id, boot_id, at, call)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING`

// Count implements [hub.Store].
func (s *Store) Count(ctx context.Context, lead hub.Lead, message int64, report hub.Report) (counted bool, err error) {
	err = s.leading(ctx, "count an update", lead, func(tx *sql.Tx) error {
		if counted, err = remove(ctx, tx, centralcloud.UpQueue, message); err != nil || !counted {
			return err
		}
		from := report.From
		if _, err := tx.ExecContext(ctx, heardOf, from.ID, from.Boot, from.Queue, from.HeardAt.UnixMicro()); err != nil {
			return err
		}
		for _, row := range report.Rows {
			document, err := json.Marshal(row.Counters)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, upsertRow, row.Instance, row.Boot, row.Epoch, row.TaskType, row.Bucket, row.Provider, row.Model,
				row.Revision, row.Rescored, string(document))
			if err != nil {
				return err
			}
		}
		for _, sample := range report.Samples {
			call, err := json.Marshal(sample.Call)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, insertSample, sample.ID, from.ID, sample.Boot, sample.At.UnixMicro(), string(call)); err != nil {
				return err
			}
		}
		return keepRepeats(ctx, tx, report.Repeats)
	})
	return counted, err
}

const selectRows = `
SELECT '' AS instance_id, '' AS boot_id, hour AS epoch, task_type, complexity_bucket, provider, model, 1 AS revision, 0 AS rescored, counters
FROM hours
UNION ALL
SELECT instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters
FROM counters`

// Rows implements [hub.Store].
func (s *Store) Rows(ctx context.Context, each func(centralcloud.Row) error) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		return readRows(ctx, tx, each, selectRows)
	})
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	return nil
}

func readRows(ctx context.Context, tx *sql.Tx, each func(centralcloud.Row) error, statement string, args ...any) error {
	return query(ctx, tx, func(rows *sql.Rows) error {
		var row centralcloud.Row
		var document string
		err := rows.Scan(&row.Instance, &row.Boot, &row.Epoch, &row.TaskType, &row.Bucket, &row.Provider, &row.Model, &row.Revision, &row.Rescored, &document)
		if err == nil {
			err = json.Unmarshal([]byte(document), &row.Counters)
		}
		if err != nil {
			return err
		}
		return each(row)
	}, statement, args...)
}

const oldestHour = `
SELECT coalesce(min(epoch), ?1) / 3600 * 3600
FROM counters
WHERE epoch < ?1`

const takeHour = `
DELETE FROM counters
WHERE epoch >= ?1 AND epoch < ?1 + 3600
RETURNING instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters`

// takeSums finds none, unless the clock was ahead when the hour was summed up.
const takeSums = `
DELETE FROM hours
WHERE hour = ?
RETURNING '' AS instance_id, '' AS boot_id, hour AS epoch, task_type, complexity_bucket, provider, model, 1 AS revision, 0 AS rescored, counters`

const insertHour = `
INSERT INTO hours (hour, task_type, complexity_bucket, provider, model, counters)
VALUES (?, ?, ?, ?, ?, ?)`

// Compact implements [hub.Store].
func (s *Store) Compact(ctx context.Context, lead hub.Lead, before time.Time) (rows int, err error) {
	err = s.leading(ctx, "compact counters", lead, func(tx *sql.Tx) error {
		var hour int64
		if err := tx.QueryRowContext(ctx, oldestHour, before.Unix()).Scan(&hour); err != nil || hour+3600 > before.Unix() {
			return err
		}
		sums := hub.NewHour(hour)
		for _, take := range []string{takeSums, takeHour} {
			rows = 0
			err := readRows(ctx, tx, func(row centralcloud.Row) error {
				rows++
				sums.Add(row)
				return nil
			}, take, hour)
			if err != nil {
				return err
			}
		}
		for _, sum := range sums.Rows() {
			document, err := json.Marshal(sum.Counters)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, insertHour, hour, sum.TaskType, sum.Bucket, sum.Provider, sum.Model, string(document)); err != nil {
				return err
			}
		}
		return nil
	})
	return rows, err
}

const (
	forgetHours    = `DELETE FROM hours WHERE hour < ?`
	forgetSamples  = `DELETE FROM samples WHERE at < ?`
	forgetRepeats  = `DELETE FROM repeats WHERE epoch < ?`
	forgetLessons  = `DELETE FROM lessons WHERE changed_at < ? AND json_type(document) = 'null'`
	forgetLetters  = `DELETE FROM queue_messages WHERE queue IN (?2, ?3) AND enqueued_at < ?1`
	forgetPolicies = `
DELETE FROM policies
WHERE made_at < CASE WHEN repeats THEN ?2 ELSE ?1 END AND version < (SELECT max(version) FROM policies)`
)

// Forget implements [hub.Store].
func (s *Store) Forget(ctx context.Context, lead hub.Lead, before, repeatedBefore time.Time) error {
	return s.leading(ctx, "forget what is old", lead, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, forgetHours, before.Unix()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetSamples, before.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetRepeats, repeatedBefore.Unix()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetLessons, before.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetLetters, before.UnixMicro(), centralcloud.DeadUp, centralcloud.DeadDown); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, forgetPolicies, before.UnixMicro(), repeatedBefore.UnixMicro())
		return err
	})
}
