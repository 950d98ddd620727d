package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// runColumns are what scanRun reads, of run and its owner's boot.
const runColumns = `
	run.id, run.workflow, run.version, run.state, run.queue, run.priority, coalesce(run.key, ''),
	run.step, run.turn, run.attempt, run.epoch, run.crash_count, coalesce(boot.instance_id, run.owner, ''),
	coalesce(run.error, ''), coalesce(run.reason, ''),
	run.created_at, run.due_at, run.started_at, run.finished_at,
	run.deadline, run.tags, coalesce(run.limit_key, ''), coalesce(run.schedule, ''), run.slot, coalesce(run.batch_id, '')`

// runTables are where they are.
const runTables = `
	workflow_runs AS run
	LEFT JOIN node_leases AS boot ON boot.boot = run.owner`

// scanRun reads a run, and what else is in the row behind it.
func scanRun(row scanner, more ...any) (workflow.Run, error) {
	var run workflow.Run
	var id string
	var created, due int64
	var started, finished, deadline, slot sql.NullInt64
	var tags []byte
	dest := append([]any{
		&id, &run.Workflow, &run.Version, &run.State, &run.Queue, &run.Priority, &run.Key,
		&run.Step, &run.Turn, &run.Attempt, &run.Epoch, &run.Crashes, &run.Owner,
		&run.Error, &run.Reason,
		&created, &due, &started, &finished,
		&deadline, &tags, &run.LimitKey, &run.Schedule, &slot, &run.Batch,
	}, more...)
	err := row.Scan(dest...)
	if err != nil {
		return workflow.Run{}, err
	}
	if run.ID, err = workflow.ParseRunID(id); err != nil {
		return workflow.Run{}, err
	}
	run.CreatedAt, run.DueAt = moment(created), moment(due)
	run.StartedAt, run.FinishedAt = moments(started), moments(finished)
	run.Deadline, run.Slot = moments(deadline), moments(slot)
	if tags != nil {
		if err := json.Unmarshal(tags, &run.Tags); err != nil {
			return workflow.Run{}, fmt.Errorf("stored tags: %w", err)
		}
	}
	return run, nil
}

// documentColumns are the input and the output of run. Only the commit that
// completes a run has an output.
const documentColumns = `
	(SELECT input FROM step_checkpoints WHERE entry = run.input),
	(SELECT output FROM step_checkpoints WHERE entry = run.entry AND seq = run.seq)`

// scanWhole reads a run, more columns, and then its documents.
func scanWhole(row scanner, more ...any) (workflow.Run, error) {
	var input, output []byte
	run, err := scanRun(row, append(more, &input, &output)...)
	run.Input, run.Output = input, output
	return run, err
}

// activationColumns are what scanActivation reads.
const activationColumns = runColumns + `, run.seq,
	(SELECT input FROM step_checkpoints WHERE entry = run.input),
	iif(run.seq = 0, NULL, (` + newestState + `)),
	iif(run.seq = 0, NULL, (` + newestSummary + `))`

// Failed attempts leave no state: it is a few entries back then.
const newestState = `
		WITH RECURSIVE history (previous, state) AS (
			SELECT previous, state FROM step_checkpoints WHERE entry = run.entry
			UNION ALL
			SELECT earlier.previous, earlier.state
			FROM history JOIN step_checkpoints AS earlier ON earlier.entry = history.previous
			WHERE history.state IS NULL
		)
		SELECT state FROM history WHERE state IS NOT NULL`

const newestSummary = `
		WITH RECURSIVE history (previous, summary) AS (
			SELECT previous, summary FROM step_checkpoints WHERE entry = run.entry
			UNION ALL
			SELECT earlier.previous, earlier.summary
			FROM history JOIN step_checkpoints AS earlier ON earlier.entry = history.previous
			WHERE history.summary IS NULL
		)
		SELECT summary FROM history WHERE summary IS NOT NULL`

func scanActivation(row scanner) (persistence.Activation, error) {
	var found persistence.Activation
	var input, summary []byte
	run, err := scanRun(row, &found.Seq, &input, &found.State, &summary)
	if err != nil {
		return found, err
	}
	found.Run = run
	found.Run.Input = input
	if run.Deadline != nil {
		found.Left = time.Until(*run.Deadline)
	}
	found.Summary, err = persistence.DecodeSummary(summary)
	return found, err
}

// text makes an empty string NULL.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// document is stored as text, so that it is readable and open to SQLite's
// functions for JSON; nil is NULL.
func document(content []byte) any {
	if content == nil {
		return nil
	}
	return string(content)
}
