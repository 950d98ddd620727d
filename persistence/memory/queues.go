package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"singularity/persistence"
	"singularity/workflow"
)

// queue is what operators said of a queue, and how far its limits are used.
type queue struct {
	persistence.QueueSettings
	turn   string // the key that was served last
	bucket *persistence.Bucket
	keys   map[string]*persistence.Bucket
}

// QueueSettings implements [persistence.Queues].
func (s *Store) QueueSettings(ctx context.Context) ([]persistence.QueueSettings, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []persistence.QueueSettings
	for _, q := range s.queues {
		list = append(list, q.reading())
	}
	slices.SortFunc(list, func(a, b persistence.QueueSettings) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (q *queue) reading() persistence.QueueSettings {
	settings := q.QueueSettings
	settings.PausedAt = clonePointer(q.PausedAt)
	return settings
}

// known returns a queue, which is known from then on.
func (s *Store) known(name string) *queue {
	if s.queues[name] == nil {
		s.queues[name] = &queue{
			QueueSettings: persistence.QueueSettings{Name: name}, keys: map[string]*persistence.Bucket{},
		}
	}
	return s.queues[name]
}

// SetQueue implements [persistence.Queues].
func (s *Store) SetQueue(ctx context.Context, name string, change workflow.QueueChange) (persistence.QueueSettings, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.QueueSettings{}, err
	}
	defer s.mu.Unlock()
	var before workflow.QueueSettings
	if q := s.queues[name]; q != nil {
		before = q.QueueSettings.QueueSettings
	}
	settings, err := persistence.ChangedQueue(before, change)
	if err != nil {
		return persistence.QueueSettings{}, fmt.Errorf("set queue %s: %w", name, err)
	}
	q := s.known(name)
	q.QueueSettings.QueueSettings = settings
	if change.KeyPath != nil {
		s.giveKeys(q, func(*run) bool { return true })
	}
	return q.reading(), nil
}

// giveKeys gives waiting runs their keys.
func (s *Store) giveKeys(q *queue, which func(*run) bool) {
	path, err := persistence.ParseKeyPath(q.KeyPath)
	if err != nil {
		return // there is none
	}
	for _, r := range s.waiting[q.Name] {
		if which(r) {
			r.LimitKey, r.keyed = path.Of(r.Input), true
		}
	}
}

// PauseQueue implements [persistence.Queues].
func (s *Store) PauseQueue(ctx context.Context, name string, paused bool) (persistence.QueueSettings, bool, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.QueueSettings{}, false, err
	}
	defer s.mu.Unlock()
	q := s.queues[name]
	switch {
	case q == nil && !paused:
		return persistence.QueueSettings{Name: name}, false, nil
	case q != nil && paused == (q.PausedAt != nil):
		return q.reading(), false, nil
	}
	q = s.known(name)
	q.PausedAt = nil
	if paused {
		at := now()
		q.PausedAt = &at
	}
	return q.reading(), true, nil
}

// QueueStats implements [persistence.Queues].
func (s *Store) QueueStats(ctx context.Context) ([]persistence.QueueStats, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	at := now()
	found := map[string]*persistence.QueueStats{}
	of := func(queue string) *persistence.QueueStats {
		if found[queue] == nil {
			found[queue] = &persistence.QueueStats{Queue: queue}
		}
		return found[queue]
	}
	for _, r := range s.running {
		of(r.Queue).Running++
	}
	for queue, runs := range s.waiting {
		for _, r := range runs {
			stats := of(queue)
			switch {
			case !r.DueAt.After(at):
				stats.Available++
				stats.Oldest = max(stats.Oldest, at.Sub(r.DueAt))
			case r.State == workflow.Retryable:
				stats.Retryable++
			default:
				stats.Scheduled++
			}
		}
	}
	var list []persistence.QueueStats
	for _, stats := range found {
		list = append(list, *stats)
	}
	slices.SortFunc(list, func(a, b persistence.QueueStats) int { return cmp.Compare(a.Queue, b.Queue) })
	return list, nil
}
