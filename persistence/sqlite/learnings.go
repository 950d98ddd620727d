package sqlite

import (
	"context"
	"fmt"

	"singularity/persistence"
)

const keepLearning = `
INSERT INTO learnings AS known (type, name, version, document, kept_at)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (type, name) DO UPDATE
SET version = max(known.version, excluded.version), document = excluded.document, kept_at = excluded.kept_at
WHERE excluded.version > known.version OR excluded.version = 0`

// KeepLearnings implements [persistence.Learnings].
func (s *Store) KeepLearnings(ctx context.Context, learnings []persistence.Learning) error {
	err := s.writer.transaction(ctx, func(t *tx) error {
		for _, l := range learnings {
			if _, err := t.exec(keepLearning, l.Type, l.Name, l.Version, document(l.Document), t.at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep learnings: %w", err)
	}
	return nil
}

const listLearnings = `
SELECT type, name, version, document, kept_at
FROM learnings
ORDER BY type, name`

// Learnings implements [persistence.Learnings].
func (s *Store) Learnings(ctx context.Context) ([]persistence.Learning, error) {
	var learnings []persistence.Learning
	err := s.readers.query(ctx, func(row scanner) error {
		var l persistence.Learning
		var document []byte
		var kept int64
		err := row.Scan(&l.Type, &l.Name, &l.Version, &document, &kept)
		l.Document, l.KeptAt = document, moment(kept)
		learnings = append(learnings, l)
		return err
	}, listLearnings)
	if err != nil {
		return nil, fmt.Errorf("list learnings: %w", err)
	}
	return learnings, nil
}
