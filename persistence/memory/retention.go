package memory

import (
	"context"
	"maps"
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
		if deleted < limit && r.State.Terminal() && r.FinishedAt.Before(at.Add(-ageOf(r.State, policy))) && !s.inOpenBatch(r) {
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
	s.pruneBatches(at.Add(-max(policy.Completed, policy.Failed)))
	for _, q := range s.queues {
		rate := persistence.KeyRate(q.QueueSettings.QueueSettings)
		maps.DeleteFunc(q.keys, func(_ string, b *persistence.Bucket) bool {
			return !rate.Limits() || rate.Refill(b, at).Tokens >= rate.Burst
		})
	}
	return deleted, nil
}

func ageOf(state workflow.State, policy persistence.RetentionPolicy) time.Duration {
	if state == workflow.Failed || state == workflow.Quarantined {
		return policy.Failed
	}
	return policy.Completed
}
