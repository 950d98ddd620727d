package memory

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"singularity/persistence"
)

// learningKey is what there is one learning of.
type learningKey struct{ kind, name string }

// KeepLearnings implements [persistence.Learnings].
func (s *Store) KeepLearnings(ctx context.Context, learnings []persistence.Learning) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, l := range learnings {
		key := learningKey{l.Type, l.Name}
		known, found := s.learnings[key]
		if found && l.Version != 0 && l.Version <= known.Version {
			continue
		}
		l.Version, l.Document, l.KeptAt = max(l.Version, known.Version), bytes.Clone(l.Document), now()
		s.learnings[key] = l
	}
	return nil
}

// Learnings implements [persistence.Learnings].
func (s *Store) Learnings(ctx context.Context) ([]persistence.Learning, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.learnings), func(a, b persistence.Learning) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
	}), nil
}
