package memory

import (
	"context"

	"singularity/persistence"
	"singularity/workflow"
)

// InsertAll implements [persistence.Bulk].
func (s *Store) InsertAll(ctx context.Context, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.insertAll(inserts)
}

func (s *Store) insertAll(inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if err := persistence.CheckAll(inserts); err != nil {
		return nil, err
	}
	at := now()
	list := make([]persistence.Inserted, len(inserts))
	for i, insert := range inserts {
		insert.Owner = ""
		verdict := s.insert(insert, at)
		if verdict.Err != nil {
			s.takeBack(list[:i])
			return nil, &workflow.StartError{Index: i, Err: verdict.Err}
		}
		list[i] = persistence.Inserted{Run: insert.Run, Wait: verdict.Wait}
		if existing := verdict.Existing; existing != nil {
			list[i] = persistence.Inserted{Run: existing.ID, Attached: true}
		}
	}
	return list, nil
}

// takeBack removes what was added in this call.
func (s *Store) takeBack(list []persistence.Inserted) {
	for _, inserted := range list {
		if !inserted.Attached {
			s.unindex(s.runs[inserted.Run])
			delete(s.runs, inserted.Run)
		}
	}
}
