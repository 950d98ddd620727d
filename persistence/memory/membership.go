package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// member is a boot, living or not.
type member struct {
	persistence.Boot
	alive    bool
	joinedAt time.Time
	endedAt  time.Time // zero while it lives

	countedUntil time.Time
	counted      bool // to the last
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
	if s.boots[boot.ID] == nil {
		s.boots[boot.ID] = &member{Boot: boot, alive: true, joinedAt: now()}
	}
	return nil
}

// Leave implements [persistence.Membership].
func (s *Store) Leave(ctx context.Context, boot persistence.BootID) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if m := s.boots[boot]; m != nil && m.alive {
		m.alive, m.endedAt = false, now()
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
		dead := s.ended[r.boot]
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
		dead.left(r)
	}
	return done, nil
}

// Members implements [persistence.Membership]. A living boot's heartbeat is
// now, since it shares the process with the store.
func (s *Store) Members(ctx context.Context) ([]persistence.Member, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	latest := map[string]persistence.Member{}
	for id, boot := range s.boots {
		if earlier, there := latest[boot.Instance]; there && (earlier.CreatedAt.After(boot.joinedAt) ||
			earlier.CreatedAt.Equal(boot.joinedAt) && earlier.Boot > id) {
			continue
		}
		latest[boot.Instance] = s.member(boot)
	}
	return slices.SortedFunc(maps.Values(latest), func(a, b persistence.Member) int {
		return cmp.Or(b.LastHeartbeat.Compare(a.LastHeartbeat), strings.Compare(a.Instance, b.Instance))
	}), nil
}

func (s *Store) member(m *member) persistence.Member {
	found := persistence.Member{
		Instance: m.Instance, Boot: m.ID, Hostname: m.Hostname, PID: m.PID, Version: m.Version,
		Status: "offline", Capabilities: cmp.Or(m.Capabilities, "{}"), LastHeartbeat: m.endedAt, CreatedAt: m.joinedAt,
	}
	if m.alive {
		found.Status, found.LastHeartbeat, found.Addresses = "online", now(), m.Addresses
	}
	for _, r := range s.running {
		if r.boot == m.ID {
			found.Load++
		}
	}
	return found
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
