package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

// retentionPatience is how long the run that deletes what has expired may wait
// for a slot.
const retentionPatience = 10 * time.Minute

const selectRetention = `
SELECT queue, (extract(epoch FROM now() - due_at))::bigint
FROM singularity.workflow_runs
WHERE workflow = '` + persistence.RetentionWorkflow + `' AND finished_at IS NULL AND state <> 'running' AND due_at < now()
ORDER BY due_at
LIMIT 1`

// checkRetention looks whether what has expired is deleted. A schema that knows
// no runs is the matter of another check.
func checkRetention(ctx context.Context, conn *pgx.Conn) (string, error) {
	var queue string
	var seconds int64
	err := conn.QueryRow(ctx, selectRetention).Scan(&queue, &seconds)
	switch waits := time.Duration(seconds) * time.Second; {
	case errors.Is(err, pgx.ErrNoRows), isUndefined(err):
		return "nothing that has expired waits to be deleted", nil
	case err != nil:
		return "", err
	case waits >= retentionPatience:
		return "", fmt.Errorf("the run that deletes what has expired has waited in queue %s for %s; resume the queue, or give it more slots on some node", queue, waits)
	default:
		return fmt.Sprintf("what has expired waits for a slot in queue %s, for %s", queue, waits), nil
	}
}
