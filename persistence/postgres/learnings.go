package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

const keepLearning = `
INSERT INTO singularity.learnings AS known (type, name, version, document, kept_at)
VALUES ($1, $2, $3, $4, now())
ON CONFLICT (type, name) DO UPDATE
SET version = greatest(known.version, excluded.version), document = excluded.document, kept_at = excluded.kept_at
WHERE excluded.version > known.version OR excluded.version = 0`

// KeepLearnings implements [persistence.Learnings]. The order of their rows keeps
// nodes that are taught at once from waiting for each other.
func (s *Store) KeepLearnings(ctx context.Context, learnings []persistence.Learning) error {
	ordered := slices.SortedStableFunc(slices.Values(learnings), func(a, b persistence.Learning) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
	})
	err := pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) error {
		for _, l := range ordered {
			if _, err := tx.Exec(ctx, keepLearning, l.Type, l.Name, l.Version, forJSONB(l.Document)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep learnings: %w", translate(s.afterClose(err)))
	}
	return nil
}

const listLearnings = `
SELECT type, name, version, document, kept_at
FROM singularity.learnings
ORDER BY type COLLATE "C", name COLLATE "C"`

// Learnings implements [persistence.Learnings].
func (s *Store) Learnings(ctx context.Context) ([]persistence.Learning, error) {
	var learnings []persistence.Learning
	err := s.query(ctx, func(row scanner) error {
		var l persistence.Learning
		err := row.Scan(&l.Type, &l.Name, &l.Version, (*[]byte)(&l.Document), &l.KeptAt)
		l.KeptAt = l.KeptAt.UTC()
		learnings = append(learnings, l)
		return err
	}, listLearnings)
	if err != nil {
		return nil, fmt.Errorf("list learnings: %w", err)
	}
	return learnings, nil
}
