package postgres

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// runColumns are what scanRun reads, of run.
const runColumns = `
	run.id, run.workflow, run.version, run.state, run.queue, run.priority, coalesce(run.key, ''),
	run.step, run.turn, run.attempt, run.epoch, run.crash_count,
	coalesce((SELECT boot.instance_id FROM singularity.node_leases AS boot WHERE boot.boot = run.owner), run.owner, ''),
	coalesce(run.error, ''), coalesce(run.reason, ''),
	run.created_at, run.due_at, run.started_at, run.finished_at,
	run.deadline, run.tags, coalesce(run.limit_key, ''), coalesce(run.schedule, ''), run.slot, coalesce(run.batch_id, '')`

// runFields are where they go.
func runFields(run *workflow.Run) []any {
	return []any{
		(*[16]byte)(&run.ID), &run.Workflow, &run.Version, (*string)(&run.State), &run.Queue, &run.Priority, &run.Key,
		&run.Step, &run.Turn, &run.Attempt, &run.Epoch, &run.Crashes, &run.Owner,
		&run.Error, &run.Reason,
		&run.CreatedAt, &run.DueAt, &run.StartedAt, &run.FinishedAt,
		&run.Deadline, &run.Tags, &run.LimitKey, &run.Schedule, &run.Slot, &run.Batch,
	}
}

// scanRun reads a run, and what else is in the row behind it.
func scanRun(row scanner, more ...any) (workflow.Run, error) {
	var run workflow.Run
	err := row.Scan(append(runFields(&run), more...)...)
	inUTC(&run.CreatedAt, &run.DueAt, run.StartedAt, run.FinishedAt, run.Deadline, run.Slot)
	return run, err
}

// inUTC shows times, but for those that are nil, as they are shown everywhere.
func inUTC(times ...*time.Time) {
	for _, at := range times {
		if at != nil {
			*at = at.UTC()
		}
	}
}

// documentColumns are the input and the output of run. Only the commit that
// completes a run has an output.
const documentColumns = `
	(SELECT input FROM singularity.step_checkpoints WHERE run_id = run.id AND seq = 0),
	(SELECT output FROM singularity.step_checkpoints WHERE run_id = run.id AND seq = run.seq)`

// scanWhole reads a run, more columns, and then its documents.
func scanWhole(row scanner, more ...any) (workflow.Run, error) {
	var input, output []byte
	run, err := scanRun(row, append(more, &input, &output)...)
	run.Input, run.Output = input, output
	return run, err
}

// activationColumns are what scanActivation reads.
const activationColumns = runColumns + `, run.seq, run.deadline - now(),
	(SELECT input FROM singularity.step_checkpoints WHERE run_id = run.id AND seq = 0),
	(SELECT state FROM singularity.step_checkpoints WHERE run_id = run.id AND state IS NOT NULL ORDER BY seq DESC LIMIT 1),
	(SELECT summary FROM singularity.step_checkpoints WHERE run_id = run.id AND summary IS NOT NULL ORDER BY seq DESC LIMIT 1)`

func scanActivation(row scanner) (persistence.Activation, error) {
	var found persistence.Activation
	var input, summary []byte
	var left *time.Duration
	run, err := scanRun(row, &found.Seq, &left, &input, &found.State, &summary)
	if err != nil {
		return found, err
	}
	found.Run = run
	found.Run.Input = input
	if left != nil {
		found.Left = *left
	}
	found.Summary, err = persistence.DecodeSummary(summary)
	return found, err
}

// forJSONB makes a document fit a jsonb column, which knows neither the
// character zero nor half of a surrogate pair.
func forJSONB(document []byte) []byte {
	if !bytes.Contains(document, []byte(`\u`)) {
		return document
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return document // for the database to refuse
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return document
	}
	return []byte(withoutZero.Replace(string(encoded)))
}

// withoutZero passes over escaped backslashes.
var withoutZero = strings.NewReplacer(`\\`, `\\`, `\u0000`, `\ufffd`)
