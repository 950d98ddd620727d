package pgmq

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud"
	"singularity/centralcloud/hub"
)

const oldestHour = `
SELECT coalesce(min(epoch), $1) / 3600 * 3600
FROM centralcloud.counters
WHERE epoch < $1`

const takeHour = `
DELETE FROM centralcloud.counters
WHERE epoch >= $1 AND epoch < $1 + 3600
RETURNING instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters`

// takeSums finds none, unless the clock was ahead when the hour was summed up.
const takeSums = `
DELETE FROM centralcloud.hours
WHERE hour = $1
RETURNING '' AS instance_id, '' AS boot_id, hour AS epoch, task_type, complexity_bucket, provider, model, 1 AS revision, 0 AS rescored, counters`

const insertHour = `
INSERT INTO centralcloud.hours (hour, task_type, complexity_bucket, provider, model, counters)
VALUES ($1, $2, $3, $4, $5, $6)`

// Compact implements [hub.Store].
func (s *Store) Compact(ctx context.Context, lead hub.Lead, before time.Time) (rows int, err error) {
	err = s.leading(ctx, "compact counters", lead, func(tx pgx.Tx) error {
		var hour int64
		if err := tx.QueryRow(ctx, oldestHour, before.Unix()).Scan(&hour); err != nil || hour+3600 > before.Unix() {
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
			if _, err := tx.Exec(ctx, insertHour, hour, sum.TaskType, sum.Bucket, sum.Provider, sum.Model, string(document)); err != nil {
				return err
			}
		}
		return nil
	})
	return rows, err
}

const (
	forgetHours    = `DELETE FROM centralcloud.hours WHERE hour < $1`
	forgetSamples  = `DELETE FROM centralcloud.samples WHERE at < $1`
	forgetRepeats  = `DELETE FROM centralcloud.repeats WHERE epoch < $1`
	forgetLessons  = `DELETE FROM centralcloud.lessons WHERE changed_at < $1 AND json_typeof(document) = 'null'`
	forgetDeadUp   = `DELETE FROM pgmq.q_dead_up WHERE enqueued_at < $1`
	forgetDeadDown = `DELETE FROM pgmq.q_dead_down WHERE enqueued_at < $1`
	forgetPolicies = `
DELETE FROM centralcloud.policies
WHERE made_at < CASE WHEN repeats THEN $2::timestamptz ELSE $1 END AND version < (SELECT max(version) FROM centralcloud.policies)`
)

// Forget implements [hub.Store].
func (s *Store) Forget(ctx context.Context, lead hub.Lead, before, repeatedBefore time.Time) error {
	return s.leading(ctx, "forget what is old", lead, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, forgetHours, before.Unix()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, forgetRepeats, repeatedBefore.Unix()); err != nil {
			return err
		}
		for _, forget := range []string{forgetSamples, forgetLessons, forgetDeadUp, forgetDeadDown} {
			if _, err := tx.Exec(ctx, forget, before); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, forgetPolicies, before, repeatedBefore)
		return err
	})
}
