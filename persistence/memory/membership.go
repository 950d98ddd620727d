package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"singularity/persistence"
	"singularity/workflow"
)

// member is a boot, living or not.
type member struct {
	persistence.Boot
	alive bool
}

func (s *Store) alive(boot persistence.BootID) bool {
	m := s.boots[boot]
	return m != nil && m.alive
}

// label is what people call a boot.
func (s *Store) label(boot persistence.BootID) string {
	if m := s.boots[boot]; m != nil {
		return m.Instance
	}
	return string(boot)
}

// Join implements [persistence.Membership].
func (s *Store) Join(ctx context.Context, boot persistence.Boot) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if m := s.boots[boot.ID]; m != nil && !m.alive {
		return fmt.Errorf("join as boot %s, which has ended: %w", boot.ID, persistence.ErrFenced)
	}
	s.boots[boot.ID] = &member{boot, true}
	return nil
}

// Leave implements [persistence.Membership].
func (s *Store) Leave(ctx context.Context, boot persistence.BootID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if m := s.boots[boot]; m != nil {
		m.alive = false
	}
	return nil
}

// Reassign implements [persistence.Membership].
func (s *Store) Reassign(ctx context.Context, limit int) (persistence.Reassigned, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Reassigned{}, err
	}
	defer s.mu.Unlock()
	var done persistence.Reassigned
	at := now()
	for _, r := range s.abandoned(limit) {
		s.change(r, func() {
			r.Crashes++
			if r.Crashes < persistence.MaxCrashes {
				r.disown(workflow.Available)
				done.Released++
				return
			}
			r.disown(workflow.Quarantined)
			r.end(workflow.Quarantined, at)
			r.Error = persistence.QuarantineError
			done.Quarantined++
		})
	}
	return done, nil
}

// abandoned lists running runs without a living owner, at most limit.
func (s *Store) abandoned(limit int) []*run {
	var found []*run
	for _, r := range s.running {
		if !s.alive(r.boot) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *run) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return found[:max(0, min(len(found), limit))]
}
