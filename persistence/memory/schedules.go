package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// Schedules implements [persistence.Schedules].
func (s *Store) Schedules(ctx context.Context) ([]workflow.Schedule, time.Time, error) {
	if err := s.enter(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer s.mu.Unlock()
	list := slices.SortedFunc(maps.Values(s.schedules), func(a, b workflow.Schedule) int { return strings.Compare(a.Name, b.Name) })
	for i := range list {
		list[i] = storedSchedule(list[i])
	}
	return list, now(), nil
}

// ChangeSchedule implements [persistence.Schedules].
func (s *Store) ChangeSchedule(ctx context.Context, name string, decide persistence.Decide) (*workflow.Schedule, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if err := s.decide(name, decide); err != nil {
		return nil, fmt.Errorf("change schedule %s: %w", name, err)
	}
	return s.viewOf(name).Schedule, nil
}

// FireSchedule implements [persistence.Schedules]. Nobody else can be at it.
func (s *Store) FireSchedule(ctx context.Context, name string, decide persistence.Decide) (persistence.ScheduleView, bool, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.ScheduleView{}, false, err
	}
	defer s.mu.Unlock()
	if _, there := s.schedules[name]; !there {
		return persistence.ScheduleView{}, false, nil
	}
	if err := s.decide(name, decide); err != nil {
		return persistence.ScheduleView{}, false, fmt.Errorf("fire schedule %s: %w", name, err)
	}
	return s.viewOf(name), true, nil
}

func (s *Store) viewOf(name string) persistence.ScheduleView {
	view := persistence.ScheduleView{Now: now()}
	if schedule, there := s.schedules[name]; there {
		last := s.runs[schedule.LastRun]
		view.Busy = last != nil && !last.State.Terminal()
		schedule = storedSchedule(schedule)
		view.Schedule = &schedule
	}
	return view
}

// decide does what a decision says.
func (s *Store) decide(name string, decide persistence.Decide) error {
	view := s.viewOf(name)
	decision, err := decide(view)
	if err != nil {
		return err
	}
	for _, insert := range decision.Runs {
		if err := persistence.Check(insert); err != nil {
			return err
		}
	}
	for _, insert := range decision.Runs {
		if err := s.insert(insert, view.Now).Err; err != nil && !errors.Is(err, persistence.ErrSlotTaken) {
			return err
		}
	}
	switch {
	case decision.Delete:
		delete(s.schedules, name)
	case decision.Schedule != nil:
		s.schedules[name] = storedSchedule(*decision.Schedule)
	}
	return nil
}

// storedSchedule is a copy with times as they are stored.
func storedSchedule(schedule workflow.Schedule) workflow.Schedule {
	schedule.Input = bytes.Clone(schedule.Input)
	schedule.PausedAt, schedule.LastSlot, schedule.NextSlot = storedOrNil(schedule.PausedAt), storedOrNil(schedule.LastSlot), storedOrNil(schedule.NextSlot)
	schedule.CreatedAt, schedule.UpdatedAt = stored(schedule.CreatedAt), stored(schedule.UpdatedAt)
	schedule.Next = nil
	return schedule
}
