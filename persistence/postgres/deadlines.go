package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
	"singularity/workflow"
)

// hasDeadline is the condition of the index that has the runs with a deadline
// which have not ended.
const hasDeadline = `run.deadline IS NOT NULL AND run.finished_at IS NULL`

const nextDeadlines = `
SELECT
	(SELECT true FROM singularity.workflow_runs AS run WHERE ` + hasDeadline + ` AND run.deadline <= now() AND run.state <> 'running' LIMIT 1) IS TRUE,
	coalesce((
		SELECT run.deadline
		FROM singularity.workflow_runs AS run
		WHERE ` + hasDeadline + ` AND run.deadline > now()
		ORDER BY run.deadline
		LIMIT 1
	) - now(), interval '0')`

// passedOver is when to look again for runs that somebody had locked.
const passedOver = time.Second

// Rows that somebody has locked are being claimed, changed or expired. Not all of
// them run or have ended afterwards.
const expireRuns = `
WITH overdue AS MATERIALIZED (
	SELECT run.id
	FROM singularity.workflow_runs AS run
	WHERE ` + hasDeadline + ` AND run.deadline <= now() AND run.state <> 'running'
	ORDER BY run.deadline
	LIMIT $1
	FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE singularity.workflow_runs AS run
SET state = 'failed', sort_key = NULL, error = concat_ws(': ', $2::text, run.error), reason = NULL,
	epoch = run.epoch + 1, owner = $3, claim_id = NULL, finished_at = now(), updated_at = now()
FROM overdue
WHERE run.id = ANY (ARRAY[overdue.id])
RETURNING ` + runColumns + `, run.seq,
	(SELECT summary FROM singularity.step_checkpoints WHERE run_id = run.id AND summary IS NOT NULL ORDER BY seq DESC LIMIT 1)`

// Expire implements [persistence.Deadlines].
func (s *Store) Expire(ctx context.Context, boot persistence.BootID, limit int) (found persistence.Overdue, err error) {
	over := false
	err = s.query(ctx, func(row scanner) error { return row.Scan(&over, &found.Next) }, nextDeadlines)
	if err == nil && over {
		err = pgx.BeginFunc(ctx, s.readers, func(tx pgx.Tx) (err error) {
			found.Failed, err = expire(ctx, tx, boot, limit)
			return err
		})
		err = translate(s.afterClose(err))
		if len(found.Failed) < limit && (found.Next == 0 || found.Next > passedOver) {
			found.Next = passedOver
		}
	}
	if err != nil {
		return persistence.Overdue{}, fmt.Errorf("fail runs at their deadline: %w", err)
	}
	return found, nil
}

func expire(ctx context.Context, tx pgx.Tx, boot persistence.BootID, limit int) (failed []workflow.Run, err error) {
	rows, err := tx.Query(ctx, expireRuns, limit, persistence.OverdueError(""), string(boot))
	if err != nil {
		return nil, err
	}
	var results commit
	err = scanAll(rows, func(row scanner) error {
		var seq int64
		var document []byte
		run, err := scanRun(row, &seq, &document)
		if err != nil {
			return err
		}
		failed = append(failed, run)
		end := persistence.Advance{Fence: persistence.Fence{Run: run.ID, Boot: boot, Epoch: run.Epoch, Seq: seq - 1}, State: workflow.Failed}
		end.Summary, err = persistence.DecodeSummary(document)
		results.advances = append(results.advances, placed[persistence.Advance]{write: end})
		return err
	})
	if err == nil {
		err = results.queueResults()
	}
	if err == nil {
		err = within(ctx, tx, results.queries)
	}
	return failed, err
}
