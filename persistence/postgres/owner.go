package postgres

import (
	"context"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

const selectOwner = `
SELECT coalesce(CASE WHEN state = 'running' THEN owner END, '')
FROM singularity.workflow_runs
WHERE id = $1`

// Owner implements [persistence.Shared]. Who has ended a run stays in its row,
// but runs it no more.
func (s *Store) Owner(ctx context.Context, run workflow.RunID) (owner persistence.BootID, err error) {
	found := false
	err = s.query(ctx, func(row scanner) error {
		found = true
		return row.Scan((*string)(&owner))
	}, selectOwner, [16]byte(run))
	if err == nil && !found {
		err = workflow.ErrRunNotFound
	}
	if err != nil {
		return "", fmt.Errorf("owner of run %s: %w", run, err)
	}
	return owner, nil
}
