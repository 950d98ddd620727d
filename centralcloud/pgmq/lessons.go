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

const selectRowsBetween = `
SELECT instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters
FROM centralcloud.counters
WHERE epoch >= $1 AND epoch < $2`

// RowsBetween implements [hub.Store].
func (s *Store) RowsBetween(ctx context.Context, from, until time.Time, each func(centralcloud.Row) error) error {
	if err := readRows(ctx, s.pool, each, selectRowsBetween, from.Unix(), until.Unix()); err != nil {
		return fmt.Errorf("read rows of a time: %w", err)
	}
	return nil
}

const selectSamples = `
SELECT id, boot_id, at, call
FROM centralcloud.samples
WHERE at >= $1 AND at < $2
ORDER BY substr(id, 25, 12) COLLATE "C", id COLLATE "C"
LIMIT $3`

// SamplesBetween implements [hub.Store].
func (s *Store) SamplesBetween(ctx context.Context, from, until time.Time, most int, each func(centralcloud.Sample) error) error {
	var id, boot string
	var at time.Time
	var call []byte
	rows, _ := s.pool.Query(ctx, selectSamples, from, until, most)
	_, err := pgx.ForEachRow(rows, []any{&id, &boot, &at, &call}, func() error {
		sample := centralcloud.Sample{ID: id, Boot: boot, At: at.UTC()}
		if err := json.Unmarshal(call, &sample.Call); err != nil {
			return err
		}
		return each(sample)
	})
	if err != nil {
		return fmt.Errorf("read samples: %w", translate(err))
	}
	return nil
}

const upsertLesson = `
INSERT INTO centralcloud.lessons (type, name, version, epoch, changed_at, document)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (type, name) DO UPDATE
SET version = excluded.version, epoch = excluded.epoch, changed_at = excluded.changed_at, document = excluded.document`

// Teach implements [hub.Store].
func (s *Store) Teach(ctx context.Context, lead hub.Lead, lessons []centralcloud.Lesson, messages []centralcloud.Draft, queues []string) error {
	return s.leading(ctx, "teach", lead, func(tx pgx.Tx) error {
		for _, lesson := range lessons {
			_, err := tx.Exec(ctx, upsertLesson, lesson.Type, lesson.Name, lesson.Version, lead.Epoch, lead.At, string(lesson.Document))
			if err != nil {
				return err
			}
		}
		return sendToAll(ctx, tx, queues, messages...)
	})
}

const selectLessons = `
SELECT type, name, version, document
FROM centralcloud.lessons
ORDER BY type COLLATE "C", name COLLATE "C"`

// Lessons implements [hub.Reader].
func (s *Store) Lessons(ctx context.Context) ([]centralcloud.Lesson, error) {
	rows, _ := s.pool.Query(ctx, selectLessons)
	lessons, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (centralcloud.Lesson, error) {
		var lesson centralcloud.Lesson
		var document []byte
		err := row.Scan(&lesson.Type, &lesson.Name, &lesson.Version, &document)
		lesson.Document = document
		return lesson, err
	})
	if err != nil {
		return nil, fmt.Errorf("read lessons: %w", translate(err))
	}
	return lessons, nil
}
