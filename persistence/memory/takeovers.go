package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// takeover is one with the runs by which it is followed.
type takeover struct {
	persistence.Takeover
	traced []trace
}

// trace is a run as it stood when it was released.
type trace struct {
	*run
	epoch, seq int64
}

// left counts a run that the dead boot had, and traces it. A boot that was not
// declared dead has no takeover: nil.
func (t *takeover) left(r *run) {
	switch {
	case t == nil:
	case r.State == workflow.Quarantined:
		t.Quarantined++
	default:
		t.Released++
		if len(t.traced) < persistence.MaxTraced {
			t.traced = append(t.traced, trace{r, r.Epoch, r.seq})
		}
	}
}

// Declare is that of a persistence.Shared, for tests in which several nodes
// have this store: whether the charge holds is for them to say.
func (s *Store) Declare(ctx context.Context, judge persistence.BootID, charge persistence.Charge) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	m := s.boots[charge.Boot]
	if m == nil || !m.alive {
		return false, nil
	}
	at := now()
	m.alive, m.endedAt = false, at
	s.ended[m.ID] = &takeover{Takeover: persistence.Takeover{
		Boot: m.ID, Instance: m.Instance, Judge: judge, DetectedBy: charge.DetectedBy, Ground: charge.Ground,
		SuspectedAt: stored(at.Add(-charge.SuspectedFor)), DeclaredAt: at,
	}}
	return true, nil
}

// FollowTakeover is that of a persistence.Shared, as Declare is.
func (s *Store) FollowTakeover(ctx context.Context, boot persistence.BootID) (known bool, err error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	t := s.ended[boot]
	if t == nil {
		return false, nil
	}
	for _, traced := range t.traced {
		switch i := slices.IndexFunc(traced.history, func(l line) bool { return l.Seq > traced.seq }); {
		case traced.Epoch == traced.epoch || traced.boot == "":
		case i < 0:
			t.ClaimedAt = cmp.Or(t.ClaimedAt, new(now()))
		default:
			entry := traced.history[i]
			t.ClaimedAt, t.ResumedAt = cmp.Or(t.ClaimedAt, &entry.StartedAt), cmp.Or(t.ResumedAt, &entry.FinishedAt)
		}
	}
	return t.ResumedAt != nil, nil
}

// Takeovers implements [persistence.Membership].
func (s *Store) Takeovers(ctx context.Context, limit int) ([]persistence.Takeover, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []persistence.Takeover
	for t := range maps.Values(s.ended) {
		reading := t.Takeover
		reading.ClaimedAt, reading.ResumedAt = clonePointer(t.ClaimedAt), clonePointer(t.ResumedAt)
		list = append(list, reading)
	}
	slices.SortFunc(list, func(a, b persistence.Takeover) int {
		return cmp.Or(b.DeclaredAt.Compare(a.DeclaredAt), strings.Compare(string(a.Boot), string(b.Boot)))
	})
	return list[:max(0, min(len(list), limit))], nil
}

func (s *Store) takeoversExpired(before time.Time) bool {
	for _, t := range s.ended {
		if t.DeclaredAt.Before(before) {
			return true
		}
	}
	return false
}

// pruneTakeovers forgets those from before a time, and counts them.
func (s *Store) pruneTakeovers(before time.Time) int {
	known := len(s.ended)
	maps.DeleteFunc(s.ended, func(_ persistence.BootID, t *takeover) bool { return t.DeclaredAt.Before(before) })
	return known - len(s.ended)
}
