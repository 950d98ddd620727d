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

const selectRowsBetween = `
SELECT instance_id, boot_id, epoch, task_type, complexity_bucket, provider, model, revision, rescored, counters
FROM counters
WHERE epoch >= ? AND epoch < ?`

// RowsBetween implements [hub.Store].
func (s *Store) RowsBetween(ctx context.Context, from, until time.Time, each func(centralcloud.Row) error) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		return readRows(ctx, tx, each, selectRowsBetween, from.Unix(), until.Unix())
	})
	if err != nil {
		return fmt.Errorf("read rows of a time: %w", err)
	}
	return nil
}

const selectSamples = `
SELECT id, boot_id, at, call
FROM samples
WHERE at >= ? AND at < ?
ORDER BY substr(id, 25, 12), id
LIMIT ?`

// SamplesBetween implements [hub.Store].
func (s *Store) SamplesBetween(ctx context.Context, from, until time.Time, most int, each func(centralcloud.Sample) error) error {
	err := s.transact(ctx, func(tx *sql.Tx) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var sample centralcloud.Sample
			var at int64
			var call string
			err := rows.Scan(&sample.ID, &sample.Boot, &at, &call)
			if err == nil {
				err = json.Unmarshal([]byte(call), &sample.Call)
			}
			if err != nil {
				return err
			}
			sample.At = time.UnixMicro(at).UTC()
			return each(sample)
		}, selectSamples, from.UnixMicro(), until.UnixMicro(), most)
	})
	if err != nil {
		return fmt.Errorf("read samples: %w", err)
	}
	return nil
}

const upsertLesson = `
INSERT INTO lessons (type, name, version, epoch, changed_at, document)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (type, name) DO UPDATE
SET version = excluded.version, epoch = excluded.epoch, changed_at = excluded.changed_at, document = excluded.document`

// Teach implements [hub.Store].
func (s *Store) Teach(ctx context.Context, lead hub.Lead, lessons []centralcloud.Lesson, messages []centralcloud.Draft, queues []string) error {
	return s.leading(ctx, "teach", lead, func(tx *sql.Tx) error {
		for _, lesson := range lessons {
			_, err := tx.ExecContext(ctx, upsertLesson, lesson.Type, lesson.Name, lesson.Version, lead.Epoch, lead.At.UnixMicro(), string(lesson.Document))
			if err != nil {
				return err
			}
		}
		return sendToAll(ctx, tx, queues, messages...)
	})
}

const selectLessons = `
SELECT type, name, version, document
FROM lessons
ORDER BY type, name`

// Lessons implements [hub.Reader].
func (s *Store) Lessons(ctx context.Context) (lessons []centralcloud.Lesson, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		return query(ctx, tx, func(rows *sql.Rows) error {
			var lesson centralcloud.Lesson
			var document string
			err := rows.Scan(&lesson.Type, &lesson.Name, &lesson.Version, &document)
			lesson.Document = json.RawMessage(document)
			lessons = append(lessons, lesson)
			return err
		}, selectLessons)
	})
	if err != nil {
		return nil, fmt.Errorf("read lessons: %w", err)
	}
	return lessons, nil
}
