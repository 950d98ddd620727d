package sqlite

import (
	"bytes"

	"singularity/persistence"
	"singularity/workflow"
)

// The key index and the id refuse a second run alike.
const insertRun = `
INSERT INTO workflow_runs (
	id, workflow, version, input_hash, key, state, queue, priority, due_at, sort_key, step,
	epoch, owner, created_at, started_at, updated_at
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`

const insertInput = `
INSERT INTO step_checkpoints (run_id, seq, input) VALUES (?, 0, ?)`

func (t *tx) insert(w persistence.Insert) (persistence.Verdict, error) {
	state, due := workflow.Available, t.at
	if !w.Due.IsZero() {
		due = w.Due.UnixMicro()
	}
	var epoch int64
	var owner, startedAt any
	if due > t.at {
		state = workflow.Scheduled
	} else if w.Owner != "" {
		alive, err := t.alive(w.Owner)
		if err != nil {
			return persistence.Verdict{}, err
		}
		if alive {
			state, epoch, owner, startedAt = workflow.Running, 1, string(w.Owner), t.at
		}
	}
	id := w.Run.String()
	inserted, err := t.exec(insertRun,
		id, w.Workflow, w.Version, w.InputHash[:], text(w.Key), string(state), w.Queue, w.Priority, due, sortKey(due, w.Priority), w.Step,
		epoch, owner, t.at, startedAt, t.at)
	if err != nil {
		return persistence.Verdict{}, err
	}
	if inserted == 0 {
		return t.existing(w)
	}
	_, err = t.exec(insertInput, id, document(w.Input))
	return persistence.Verdict{Owned: state == workflow.Running}, err
}

// sortKey orders runs for claims: a minute of waiting outweighs a step of
// priority.
func sortKey(due int64, priority int) int64 { return due + int64(priority)*60_000_000 }

const existingByID = `
SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
FROM ` + runTables + `
WHERE run.id = ?`

const existingByKey = `
SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
FROM ` + runTables + `
WHERE run.workflow = ? AND run.key = ? AND run.state NOT IN ('failed', 'cancelled', 'quarantined')`

// existing finds the run that is in the way of an insert.
func (t *tx) existing(w persistence.Insert) (persistence.Verdict, error) {
	var run *workflow.Run
	var hash []byte
	read := func(row scanner) (err error) {
		run = new(workflow.Run)
		*run, err = scanWhole(row, &hash)
		return err
	}
	if err := t.query(read, existingByID, w.Run.String()); err != nil {
		return persistence.Verdict{}, err
	}
	conflict := &workflow.KeyConflictError{Workflow: w.Workflow, Run: w.Run}
	if run == nil {
		if err := t.query(read, existingByKey, w.Workflow, w.Key); err != nil {
			return persistence.Verdict{}, err
		}
		conflict.Key, conflict.Run = w.Key, run.ID
	}
	if run.Workflow != w.Workflow || !bytes.Equal(hash, w.InputHash[:]) {
		return refused(conflict), nil
	}
	return persistence.Verdict{Existing: run}, nil
}
