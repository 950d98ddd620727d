package sqlite

import (
	"context"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

// InsertAll implements [persistence.Bulk]. Other writes wait until it is done:
// SQLite has one writer.
func (s *Store) InsertAll(ctx context.Context, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	if err := persistence.CheckAll(inserts); err != nil {
		return nil, err
	}
	var list []persistence.Inserted
	err := s.writer.transaction(ctx, func(t *tx) (err error) {
		list, err = t.insertAll(ctx, inserts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (t *tx) insertAll(ctx context.Context, inserts []persistence.Insert) ([]persistence.Inserted, error) {
	list := make([]persistence.Inserted, len(inserts))
	for i, insert := range inserts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		insert.Owner = ""
		verdict, err := t.insert(insert)
		switch {
		case err != nil:
			return nil, fmt.Errorf("insert run %s: %w", insert.Run, err)
		case verdict.Err != nil:
			return nil, &workflow.StartError{Index: i, Err: verdict.Err}
		case verdict.Existing != nil:
			list[i] = persistence.Inserted{Run: verdict.Existing.ID, Attached: true}
		default:
			list[i] = persistence.Inserted{Run: insert.Run, Wait: verdict.Wait}
		}
	}
	return list, nil
}
