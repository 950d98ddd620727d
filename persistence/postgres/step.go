package postgres

import (
	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// completeStep is what advanceRuns does for the advance that most are, when it
// has its batch to itself: the step was completed, and the run goes on or is
// completed, too. Somebody waits for it, and arrays and columns that it does
// not need would make the server's part, without the commit, twice as long.
var completeStep = &statement{"complete_step", `
WITH moved AS (
	UPDATE singularity.workflow_runs
	SET seq = $4::bigint + 1, state = $5::text, step = $6::text, turn = $7::integer,
		attempt = 0, error = NULL, reason = NULL, crash_count = 0,
		finished_at = CASE WHEN $5 = 'completed' THEN now() END,
		updated_at = now()
	WHERE id = $1::uuid AND owner IS NOT DISTINCT FROM $2::text AND epoch = $3::bigint AND seq = $4 AND (state = 'running') IS TRUE
	RETURNING seq
)
INSERT INTO singularity.step_checkpoints (
	run_id, seq, epoch, owner, outcome, step, turn, attempt, state, output, summary, started_at, finished_at
)
SELECT $1, seq, $3, $2, 'completed', $8::text, $9::integer, $10::integer, $11::text, $12::text, $13::text, $14::timestamptz, $15::timestamptz
FROM moved
RETURNING true`}

// completesStep reports whether completeStep writes all there is to write of w.
func completesStep(w persistence.Advance) bool {
	return (w.State == workflow.Running || w.State == workflow.Completed) &&
		w.Attempt == 0 && w.Error == "" && w.Reason == "" &&
		w.Entry != nil && w.Entry.Outcome == workflow.StepCompleted && w.Entry.Error == ""
}

func (c *commit) queueStep() error {
	advance := c.advances[0]
	w := advance.write
	summary, err := persistence.EncodeSummary(w.Entry.Summary)
	if err != nil {
		return err
	}
	row := newArrays(1, pgtype.UUIDOID, pgtype.TextOID, pgtype.Int8OID, pgtype.Int8OID, pgtype.TextOID, pgtype.TextOID, pgtype.Int4OID,
		pgtype.TextOID, pgtype.Int4OID, pgtype.Int4OID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID,
		pgtype.TimestamptzOID, pgtype.TimestamptzOID)
	row.uuid(w.Run)
	row.text(string(w.Boot))
	row.int8(w.Epoch)
	row.int8(w.Seq)
	row.text(string(w.State))
	row.text(w.Step)
	row.int4(w.Turn)
	row.text(w.Entry.Step)
	row.int4(w.Entry.Turn)
	row.int4(w.Entry.Attempt)
	row.bytes(w.Entry.State)
	row.bytes(w.Entry.Output)
	row.bytes(summary)
	row.time(w.Entry.StartedAt)
	row.time(w.Entry.FinishedAt)
	c.queueScalars(completeStep, row, func(scanner) error {
		c.verdicts[advance.place].Err = nil
		return nil
	})
	return row.err
}
