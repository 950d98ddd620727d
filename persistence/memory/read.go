package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"singularity/persistence"
	"singularity/workflow"
)

func (s *Store) find(id workflow.RunID) (*run, error) {
	if r := s.runs[id]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("run %s: %w", id, workflow.ErrRunNotFound)
}

// Run implements [persistence.Reader].
func (s *Store) Run(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	if err := s.enter(ctx); err != nil {
		return workflow.Run{}, err
	}
	defer s.mu.Unlock()
	r, err := s.find(id)
	if err != nil {
		return workflow.Run{}, err
	}
	return s.full(r), nil
}

// Runs implements [persistence.Reader].
func (s *Store) Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	if err := s.enter(ctx); err != nil {
		return workflow.Page{}, err
	}
	defer s.mu.Unlock()
	var runs []workflow.Run
	for _, r := range s.runs {
		if s.matches(filter, r) {
			runs = append(runs, s.bare(r))
		}
	}
	slices.SortFunc(runs, func(a, b workflow.Run) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	limit := persistence.PageSize(filter.Limit)
	return persistence.FullPage(runs[:min(len(runs), limit)], limit), nil
}

func (s *Store) matches(filter workflow.Filter, r *run) bool {
	return (filter.Workflow == "" || r.Workflow == filter.Workflow) &&
		(len(filter.States) == 0 || slices.Contains(filter.States, r.State)) &&
		(filter.Queue == "" || r.Queue == filter.Queue) &&
		(filter.Key == "" || r.Key == filter.Key) &&
		!slices.ContainsFunc(filter.Tags, func(tag string) bool { return !slices.Contains(r.Tags, tag) }) &&
		(filter.Schedule == "" || r.Schedule == filter.Schedule) &&
		(filter.Batch == "" || r.Batch == filter.Batch) &&
		(filter.Owner == "" || s.label(r.boot) == filter.Owner) &&
		(filter.CreatedAfter.IsZero() || !r.CreatedAt.Before(filter.CreatedAfter)) &&
		(filter.CreatedBefore.IsZero() || r.CreatedAt.Before(filter.CreatedBefore)) &&
		strings.Contains(persistence.Folded(r.Error), persistence.Folded(filter.ErrorContains)) &&
		(filter.Before.IsZero() || bytes.Compare(r.ID[:], filter.Before[:]) < 0)
}

// Steps implements [persistence.Reader].
func (s *Store) Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	r, err := s.find(id)
	if err != nil {
		return nil, err
	}
	var steps []workflow.StepRun
	for _, line := range r.history {
		step := line.StepRun
		step.Owner = s.label(line.boot)
		step.State = bytes.Clone(step.State)
		step.Facts = slices.Clone(step.Facts)
		steps = append(steps, step)
	}
	return steps, nil
}

// Owned implements [persistence.Reader].
func (s *Store) Owned(ctx context.Context, boot persistence.BootID) ([]workflow.RunID, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var owned []workflow.RunID
	for id, r := range s.running {
		if r.boot == boot {
			owned = append(owned, id)
		}
	}
	slices.SortFunc(owned, func(a, b workflow.RunID) int { return bytes.Compare(a[:], b[:]) })
	return owned, nil
}

// Backlog implements [persistence.Reader].
func (s *Store) Backlog(ctx context.Context, known []persistence.Definition) ([]persistence.Backlog, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	at := now()
	wanted := definitions(known)
	var backlogs []persistence.Backlog
	for queue, runs := range s.waiting {
		backlog := persistence.Backlog{Queue: queue}
		for _, r := range runs {
			switch {
			case !wanted[r.definition()]:
			case r.DueAt.After(at):
				if wait := r.DueAt.Sub(at); backlog.Next == 0 || wait < backlog.Next {
					backlog.Next = wait
				}
			case r.solo():
				backlog.Solo = true
			default:
				backlog.Due = true
			}
		}
		if backlog.Due || backlog.Solo || backlog.Next > 0 {
			backlogs = append(backlogs, backlog)
		}
	}
	slices.SortFunc(backlogs, func(a, b persistence.Backlog) int { return cmp.Compare(a.Queue, b.Queue) })
	return backlogs, nil
}
