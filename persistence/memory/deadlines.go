package memory

import (
	"context"
	"slices"

	"singularity/persistence"
	"singularity/workflow"
)

// Expire implements [persistence.Deadlines].
func (s *Store) Expire(ctx context.Context, boot persistence.BootID, limit int) (found persistence.Overdue, err error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Overdue{}, err
	}
	defer s.mu.Unlock()
	at := now()
	var over []*run
	for _, r := range s.runs {
		switch {
		case r.Deadline == nil || r.State.Terminal():
		case r.Deadline.After(at):
			if left := r.Deadline.Sub(at); found.Next == 0 || left < found.Next {
				found.Next = left
			}
		case r.State != workflow.Running:
			over = append(over, r)
		}
	}
	slices.SortFunc(over, func(a, b *run) int { return a.Deadline.Compare(*b.Deadline) })
	for _, r := range over[:min(len(over), limit)] {
		s.change(r, func() {
			r.disown(workflow.Failed)
			r.end(workflow.Failed, at)
			r.boot, r.Error, r.Reason = boot, persistence.OverdueError(r.Error), ""
		})
		if summary := s.activation(r).Summary; summary != nil {
			s.summarize(r, *summary, at)
		}
		found.Failed = append(found.Failed, s.bare(r))
	}
	return found, nil
}
