package memory

import (
	"context"
	"maps"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

type budgetKey struct{ name, day string }

type budget struct {
	run      workflow.RunID
	spent    int64
	openedAt time.Time
}

// Spend implements [persistence.Budgets].
func (s *Store) Spend(ctx context.Context, budgets []persistence.Budget, amount int64) (persistence.Spent, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Spent{}, err
	}
	defer s.mu.Unlock()
	at := now()
	spent := persistence.Spent{Day: at.Format(time.DateOnly)}
	for _, b := range budgets {
		if before := s.budgets[budgetKey{b.Name, b.Day(spent.Day)}].spent; before+amount > b.Limit {
			spent.Full, spent.Before = b.Name, before
			return spent, nil
		}
	}
	for _, b := range budgets {
		key := budgetKey{b.Name, b.Day(spent.Day)}
		kept, found := s.budgets[key]
		if !found {
			kept = budget{run: b.Run, openedAt: at}
		}
		kept.spent += amount
		s.budgets[key] = kept
	}
	return spent, nil
}

// Correct implements [persistence.Budgets].
func (s *Store) Correct(ctx context.Context, budgets []persistence.Budget, spent persistence.Spent, amount int64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, b := range budgets {
		key := budgetKey{b.Name, b.Day(spent.Day)}
		if kept, found := s.budgets[key]; found {
			kept.spent += amount
			s.budgets[key] = kept
		}
	}
	return nil
}

// pruneBudgets forgets those of runs that are gone.
func (s *Store) pruneBudgets(before time.Time) {
	maps.DeleteFunc(s.budgets, func(_ budgetKey, b budget) bool {
		return !b.run.IsZero() && s.runs[b.run] == nil && b.openedAt.Before(before)
	})
}
