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
	list := make([]persistence.Inserted, len(inserts))
	err := s.writer.transaction(ctx, func(t *tx) error {
		for i, insert := range inserts {
			if err := ctx.Err(); err != nil {
				return err
			}
			insert.Owner = ""
			verdict, err := t.insert(insert)
			switch {
			case err != nil:
				return fmt.Errorf("insert run %s: %w", insert.Run, err)
			case verdict.Err != nil:
				return &workflow.StartError{Index: i, Err: verdict.Err}
			case verdict.Existing != nil:
				list[i] = persistence.Inserted{Run: verdict.Existing.ID, Attached: true}
			default:
				list[i] = persistence.Inserted{Run: insert.Run, Wait: verdict.Wait}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
