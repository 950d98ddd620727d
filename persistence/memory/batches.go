package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// batch is a row of a batch; its page is sealed by Last.
type batch struct {
	persistence.BatchPage
	total      int
	createdAt  time.Time
	sealedAt   *time.Time
	finishedAt *time.Time
}

// InsertBatch implements [persistence.Batches].
func (s *Store) InsertBatch(ctx context.Context, page persistence.BatchPage, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	list, err := s.insertAll(persistence.InBatch(page, inserts))
	if err != nil {
		return nil, err
	}
	known := s.batches[page.ID]
	if known == nil {
		known = &batch{BatchPage: page, createdAt: now()}
		known.Last = false
	}
	if err := persistence.CheckPage(page, known.BatchPage, persistence.Added(list)); err != nil {
		s.takeBack(list)
		return nil, err
	}
	known.total += persistence.Added(list)
	if page.Last {
		known.seal()
	}
	s.batches[page.ID] = known
	return list, nil
}

// seal lets no more runs in, and reports whether they were before.
func (b *batch) seal() bool {
	if b.Last {
		return false
	}
	at := now()
	b.Last, b.sealedAt = true, &at
	return true
}

// Batch implements [persistence.Batches].
func (s *Store) Batch(ctx context.Context, id string) (workflow.BatchStatus, error) {
	if err := s.enter(ctx); err != nil {
		return workflow.BatchStatus{}, err
	}
	defer s.mu.Unlock()
	b := s.batches[id]
	if b == nil {
		return workflow.BatchStatus{}, fmt.Errorf("batch %s: %w", id, workflow.ErrBatchNotFound)
	}
	status := workflow.BatchStatus{
		ID: id, OnEnd: b.OnEnd, CreatedAt: b.createdAt, ClosedAt: clonePointer(b.sealedAt), EndedAt: clonePointer(b.finishedAt),
		Total: b.total, States: map[workflow.State]int{},
	}
	if b.OnEnd != "" && b.finishedAt != nil {
		status.OnEndRun = b.CallbackID
	}
	for _, r := range s.runs {
		if r.Batch == id {
			status.States[r.State]++
		}
	}
	return status, nil
}

// CloseBatch implements [persistence.Batches].
func (s *Store) CloseBatch(ctx context.Context, id string) (changed bool, err error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	b := s.batches[id]
	if b == nil {
		return false, fmt.Errorf("close batch %s: %w", id, workflow.ErrBatchNotFound)
	}
	return b.seal(), nil
}

// OpenBatches implements [persistence.Batches].
func (s *Store) OpenBatches(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var open []string
	for id, b := range s.batches {
		if b.finishedAt == nil {
			open = append(open, id)
		}
	}
	slices.Sort(open)
	return open, nil
}

// RipeBatches implements [persistence.Batches].
func (s *Store) RipeBatches(ctx context.Context, ids []string) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !s.ripe(id) }), nil
}

func (s *Store) ripe(id string) bool {
	b := s.batches[id]
	return b != nil && b.Last && b.finishedAt == nil && s.unended[id] == 0
}

// endOf counts the runs of a batch.
func (s *Store) endOf(id string) workflow.BatchEnd {
	end := workflow.BatchEnd{Batch: id}
	for _, r := range s.runs {
		if r.Batch == id {
			end.Count(r.State, 1)
		}
	}
	return end
}

// EndBatch implements [persistence.Batches].
func (s *Store) EndBatch(ctx context.Context, id string, callback persistence.Callback) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	if !s.ripe(id) {
		return false, nil
	}
	b, at := s.batches[id], now()
	if b.OnEnd != "" {
		insert, err := callback(b.BatchPage, s.endOf(id))
		if err == nil {
			err = persistence.Check(insert)
		}
		if err == nil {
			err = s.insert(insert, at).Err
		}
		if err != nil {
			return false, fmt.Errorf("end batch %s: %w", id, err)
		}
	}
	b.finishedAt = &at
	return true, nil
}

// inOpenBatch reports whether r is counted when its batch ends, which it has not.
func (s *Store) inOpenBatch(r *run) bool {
	b := s.batches[r.Batch]
	return b != nil && b.finishedAt == nil
}

func (s *Store) pruneBatches(horizon time.Time) {
	left := map[string]bool{} // batches of which there are runs
	for _, r := range s.runs {
		left[r.Batch] = true
	}
	for id, b := range s.batches {
		if b.finishedAt != nil && b.finishedAt.Before(horizon) && !left[id] {
			delete(s.batches, id)
			delete(s.unended, id)
		}
	}
}
