package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// withDeadline are the runs with a deadline which have not ended.
const withDeadline = `
workflow_runs AS run INDEXED BY workflow_runs_deadline
WHERE run.deadline IS NOT NULL AND run.finished_at IS NULL`

const nextDeadlines = `
SELECT EXISTS (SELECT 1 FROM ` + withDeadline + ` AND run.deadline <= ?1 AND run.state <> 'running'),
	(SELECT run.deadline FROM ` + withDeadline + ` AND run.deadline > ?1 ORDER BY run.deadline LIMIT 1)`

const overdueRuns = `
SELECT run.id FROM ` + withDeadline + ` AND run.deadline <= ? AND run.state <> 'running'
ORDER BY run.deadline
LIMIT ?`

const expireRun = `
UPDATE workflow_runs
SET state = 'failed', sort_key = NULL, error = iif(error IS NULL, ?2, ?2 || ': ' || error), reason = NULL,
	epoch = epoch + 1, owner = ?3, claim_id = NULL, finished_at = ?4, updated_at = ?4
WHERE id = ?1`

// Expire implements [persistence.Deadlines].
func (s *Store) Expire(ctx context.Context, boot persistence.BootID, limit int) (found persistence.Overdue, err error) {
	over, at := false, now()
	err = s.readers.query(ctx, func(row scanner) error {
		var next sql.NullInt64
		err := row.Scan(&over, &next)
		if next.Valid {
			found.Next = time.Duration(next.Int64-at) * time.Microsecond
		}
		return err
	}, nextDeadlines, at)
	if err == nil && over {
		err = s.writer.transaction(ctx, func(t *tx) (err error) {
			found.Failed, err = t.expire(boot, limit)
			return err
		})
	}
	if err != nil {
		return persistence.Overdue{}, fmt.Errorf("fail runs at their deadline: %w", err)
	}
	return found, nil
}

func (t *tx) expire(boot persistence.BootID, limit int) (failed []workflow.Run, err error) {
	var ids []workflow.RunID
	err = t.query(func(row scanner) error {
		id, err := scanRunID(row)
		ids = append(ids, id)
		return err
	}, overdueRuns, t.at, limit)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := t.exec(expireRun, id.String(), persistence.OverdueError(""), string(boot), t.at); err != nil {
			return nil, err
		}
		var ended persistence.Activation
		err := t.query(func(row scanner) (err error) {
			ended, err = scanActivation(row)
			return err
		}, activationOf, id.String())
		if err == nil && ended.Summary != nil {
			err = t.summarize(persistence.Advance{Fence: persistence.Fence{Run: id}, Summary: ended.Summary})
		}
		if err != nil {
			return nil, err
		}
		ended.Run.Input = nil
		failed = append(failed, ended.Run)
	}
	return failed, nil
}
