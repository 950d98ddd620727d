package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"singularity/persistence"
)

// Expired implements [persistence.Retention].
func (s *Store) Expired(ctx context.Context, policy persistence.RetentionPolicy) (persistence.Expiry, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Expiry{}, err
	}
	defer s.mu.Unlock()
	policy = policy.WithDefaults()
	at := now()
	var found persistence.Expiry
	for id, r := range s.runs {
		switch ended := (persistence.EndedRuns{State: r.State, Queue: r.Queue}); {
		case r.Workflow != persistence.RetentionWorkflow:
			if s.expired(r, policy, at) && !slices.Contains(found.Runs, ended) {
				found.Runs = append(found.Runs, ended)
			}
		case r.State.Terminal():
			found.Past = true
		default:
			found.Run = id
			if r.claimable() {
				found.Waits = max(0, at.Sub(r.DueAt))
			}
		}
	}
	found.Rest = s.inbox.expired(at.Add(-policy.Completed)) || s.takeoversExpired(at.Add(-policy.Takeovers))
	return found, nil
}

// Prune implements [persistence.Retention].
func (s *Store) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (persistence.Pruned, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Pruned{}, err
	}
	defer s.mu.Unlock()
	policy = policy.WithDefaults()
	at := now()
	var pruned persistence.Pruned
	for _, r := range s.runs {
		switch past := r.Workflow == persistence.RetentionWorkflow && r.State.Terminal(); {
		case past:
			s.forget(r)
		case pruned.Runs < limit && s.expired(r, policy, at):
			s.forget(r)
			pruned.Runs++
		}
	}
	pruned.Messages = s.inbox.prune(at.Add(-policy.Completed))
	pruned.Takeovers = s.pruneTakeovers(at.Add(-policy.Takeovers))
	s.pruneBatches(at.Add(-policy.Completed))
	s.pruneBudgets(at.Add(-policy.Failed))
	for _, q := range s.queues {
		rate := persistence.KeyRate(q.QueueSettings.QueueSettings)
		maps.DeleteFunc(q.keys, func(_ string, b *persistence.Bucket) bool {
			return !rate.Limits() || rate.Refill(b, at).Tokens >= rate.Burst
		})
	}
	return pruned, nil
}

func (s *Store) expired(r *run, policy persistence.RetentionPolicy, at time.Time) bool {
	return r.State.Terminal() && !s.inOpenBatch(r) && r.FinishedAt.Before(at.Add(-policy.Age(r.State, r.Queue)))
}

func (s *Store) forget(r *run) {
	s.unindex(r)
	delete(s.runs, r.ID)
	delete(s.results, r.ID)
	if r.Slot != nil {
		delete(s.slots, slotKeyOf(r.Schedule, *r.Slot))
	}
}
