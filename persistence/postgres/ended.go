package postgres

import (
	"context"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

var _ persistence.Shared = (*Store)(nil)

const selectEnded = `
SELECT id
FROM singularity.workflow_runs
WHERE id = ANY ($1::uuid[]) AND state IN ('completed', 'failed', 'cancelled', 'quarantined')`

// Ended implements [persistence.Shared].
func (s *Store) Ended(ctx context.Context, runs []workflow.RunID) ([]workflow.RunID, error) {
	ids := make([][16]byte, len(runs))
	for i, id := range runs {
		ids[i] = id
	}
	var ended []workflow.RunID
	err := s.query(ctx, func(row scanner) error {
		var id [16]byte
		err := row.Scan(&id)
		ended = append(ended, id)
		return err
	}, selectEnded, ids)
	if err != nil {
		return nil, fmt.Errorf("look which runs have ended: %w", err)
	}
	return ended, nil
}
