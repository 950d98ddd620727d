package pgmq

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

const heardOf = `
INSERT INTO centralcloud.instances AS i (instance_id, boot_id, queue, heard_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (instance_id) DO UPDATE
SET boot_id = excluded.boot_id, queue = excluded.queue, heard_at = excluded.heard_at
WHERE i.heard_at <= excluded.heard_at`

// Count implements [hub.Store].
func (s *Store) Count(ctx context.Context, lead hub.Lead, message int64, report hub.Report) (counted bool, err error) {
	err = s.leading(ctx, "count an update", lead, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, deleteMessage, centralcloud.UpQueue, message).Scan(&counted); err != nil || !counted {
			return err
		}
		from := report.From
		if _, err := tx.Exec(ctx, heardOf, from.ID, from.Boot, from.Queue, from.HeardAt); err != nil {
			return err
		}
		if err := countRows(ctx, tx, report.Rows); err != nil {
			return err
		}
		if err := keepSamples(ctx, tx, from.ID, report.Samples); err != nil {
			return err
		}
		return keepRepeats(ctx, tx, report.Repeats)
	})
	return counted, err
}

const upsertRows = `
INSERT INTO centralcloud.counters AS c (
	instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters)
SELECT instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters
FROM unnest(
	$1::text[], $2::text[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::jsonb[]
) AS r (instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters)
ON CONFLICT (instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model) DO UPDATE
SET revision = excluded.revision, rescored = excluded.rescored, counters = excluded.counters
WHERE (c.revision, c.rescored) < (excluded.revision, excluded.rescored)`

func countRows(ctx context.Context, tx pgx.Tx, rows []centralcloud.Row) error {
	if len(rows) == 0 {
		return nil
	}
	var instances, boots, tasks, providers, models, documents []string
	var epochs, revisions, rescored []int64
	var buckets []int16
	for _, row := range rows {
		document, err := json.Marshal(row.Counters)
		if err != nil {
			return err
		}
		instances, boots, epochs = append(instances, row.Instance), append(boots, row.Boot), append(epochs, row.Epoch)
		tasks, buckets = append(tasks, row.TaskType), append(buckets, int16(row.Bucket))
		providers, models = append(providers, row.Provider), append(models, row.Model)
		revisions, rescored, documents = append(revisions, row.Revision), append(rescored, row.Rescored), append(documents, string(document))
	}
	_, err := tx.Exec(ctx, upsertRows, instances, boots, epochs, tasks, buckets, providers, models, revisions, rescored, documents)
	return err
}

const insertSamples = `
INSERT INTO centralcloud.samples (id, instance_id, boot_id, at, call)
SELECT s.id, $1, s.boot, s.at, s.call
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::jsonb[]) AS s (id, boot, at, call)
ON CONFLICT (id) DO NOTHING`

func keepSamples(ctx context.Context, tx pgx.Tx, instance string, samples []centralcloud.Sample) error {
	if len(samples) == 0 {
		return nil
	}
	var ids, boots, calls []string
	var times []time.Time
	for _, sample := range samples {
		call, err := json.Marshal(sample.Call)
		if err != nil {
			return err
		}
		ids, boots, times, calls = append(ids, sample.ID), append(boots, sample.Boot), append(times, sample.At), append(calls, string(call))
	}
	_, err := tx.Exec(ctx, insertSamples, instance, ids, boots, times, calls)
	return err
}

const selectRows = `
SELECT '' AS instance_id, '' AS boot_id, hour AS epoch, task_type, complexity_bucket, provider, model, 1 AS revision, 0 AS rescored, counters
FROM centralcloud.hours
UNION ALL
SELECT instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters
FROM centralcloud.counters`

// Rows implements [hub.Store].
func (s *Store) Rows(ctx context.Context, each func(centralcloud.Row) error) error {
	if err := readRows(ctx, s.pool, each, selectRows); err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	return nil
}

func readRows(ctx context.Context, db querier, each func(centralcloud.Row) error, query string, args ...any) error {
	var row centralcloud.Row
	var document []byte
	rows, _ := db.Query(ctx, query, args...)
	_, err := pgx.ForEachRow(rows, []any{
		&row.Instance, &row.Boot, &row.Epoch, &row.TaskType, &row.Bucket, &row.Provider, &row.Model, &row.Revision, &row.Rescored, &document,
	}, func() error {
		row.Counters = centralcloud.Counters{}
		if err := json.Unmarshal(document, &row.Counters); err != nil {
			return err
		}
		return each(row)
	})
	return translate(err)
}
