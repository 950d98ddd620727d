package memory

import (
	"context"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// Prune implements [persistence.Retention].
func (s *Store) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	policy = policy.WithDefaults()
	at := now()
	deleted := 0
	for id, r := range s.runs {
		if deleted < limit && r.State.Terminal() && r.FinishedAt.Before(at.Add(-ageOf(r.State, policy))) {
			s.unindex(r)
			delete(s.runs, id)
			delete(s.results, id)
			if r.Slot != nil {
				delete(s.slots, slotKeyOf(r.Schedule, *r.Slot))
			}
			deleted++
		}
	}
	s.inbox.prune(at.Add(-policy.Completed))
	s.pruneTakeovers(at.Add(-policy.Takeovers))
	return deleted, nil
}

func ageOf(state workflow.State, policy persistence.RetentionPolicy) time.Duration {
	if state == workflow.Failed || state == workflow.Quarantined {
		return policy.Failed
	}
	return policy.Completed
}
