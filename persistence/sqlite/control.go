package sqlite

import (
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

const reactivateRun = `
UPDATE workflow_runs
SET epoch = epoch + 1, updated_at = ?
WHERE id = ? AND owner = ? AND state = 'running'`

const activationOf = `
SELECT ` + activationColumns + `
FROM ` + runTables + `
WHERE run.id = ?`

func (t *tx) reactivate(w persistence.Reactivate) (persistence.Verdict, error) {
	id := w.Run.String()
	changed, err := t.exec(reactivateRun, t.at, id, string(w.Boot))
	if err != nil {
		return persistence.Verdict{}, err
	}
	if changed == 0 {
		return refused(persistence.ErrFenced), nil
	}
	var verdict persistence.Verdict
	err = t.query(func(row scanner) error {
		activation, err := scanActivation(row)
		verdict.Activations = append(verdict.Activations, activation)
		return err
	}, activationOf, id)
	return verdict, err
}

const cancelRun = `
UPDATE workflow_runs
SET state = 'cancelled', sort_key = NULL, reason = ?, epoch = epoch + 1, owner = NULL, claim_id = NULL, finished_at = ?, updated_at = ?
WHERE id = ? AND finished_at IS NULL`

func (t *tx) cancel(w persistence.Cancel) (persistence.Verdict, error) {
	changed, err := t.exec(cancelRun, text(w.Reason), t.at, t.at, w.Run.String())
	if err != nil {
		return persistence.Verdict{}, err
	}
	run, err := t.read(w.Run)
	switch {
	case err != nil:
		return persistence.Verdict{}, err
	case run == nil:
		return refused(workflow.ErrRunNotFound), nil
	case changed == 0 && run.State != workflow.Cancelled:
		return refused(fmt.Errorf("%w: the run has %s", workflow.ErrWrongState, run.State)), nil
	}
	return persistence.Verdict{Changed: run}, nil
}

const retryRun = `
UPDATE workflow_runs
SET state = 'available', attempt = 0, crash_count = 0, error = NULL, reason = NULL,
	epoch = epoch + 1, owner = NULL, claim_id = NULL, deadline = NULL,
	due_at = ?, sort_key = ? + priority * 60000000, finished_at = NULL, updated_at = ?
WHERE id = ?`

const keyHolder = `
SELECT id
FROM workflow_runs
WHERE workflow = ? AND key = ? AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined' AND unique_key IS NULL
	AND id <> ? AND (SELECT unique_key FROM workflow_runs WHERE id = ?) IS NULL`

func (t *tx) retry(w persistence.Retry) (persistence.Verdict, error) {
	run, err := t.read(w.Run)
	if err != nil {
		return persistence.Verdict{}, err
	}
	if run == nil {
		return refused(workflow.ErrRunNotFound), nil
	}
	switch run.State {
	case workflow.Failed, workflow.Cancelled, workflow.Quarantined, workflow.Waiting:
	default:
		return refused(fmt.Errorf("%w: the run is %s", workflow.ErrWrongState, run.State)), nil
	}
	holder, err := t.keyHolder(*run)
	if err != nil {
		return persistence.Verdict{}, err
	}
	if !holder.IsZero() {
		return refused(&workflow.KeyConflictError{Workflow: run.Workflow, Key: run.Key, Run: holder}), nil
	}
	rival, err := t.uniqueRival(w.Run)
	if err != nil {
		return persistence.Verdict{}, err
	}
	if !rival.IsZero() {
		return refused(&workflow.UniqueError{Workflow: run.Workflow, Run: rival}), nil
	}
	if _, err := t.exec(retryRun, t.at, t.at, t.at, w.Run.String()); err != nil {
		return persistence.Verdict{}, err
	}
	run, err = t.read(w.Run)
	return persistence.Verdict{Changed: run}, err
}

// keyHolder is the other run that has the key of this one, if there is one.
func (t *tx) keyHolder(run workflow.Run) (workflow.RunID, error) {
	var holder workflow.RunID
	if run.Key == "" {
		return holder, nil
	}
	err := t.query(func(row scanner) error {
		var id string
		if err := row.Scan(&id); err != nil {
			return err
		}
		return holder.UnmarshalText([]byte(id))
	}, keyHolder, run.Workflow, run.Key, run.ID.String(), run.ID.String())
	return holder, err
}

const bareRun = `
SELECT ` + runColumns + `
FROM ` + runTables + `
WHERE run.id = ?`

// read returns a run without its documents, nil when there is none.
func (t *tx) read(id workflow.RunID) (found *workflow.Run, err error) {
	err = t.query(func(row scanner) error {
		run, err := scanRun(row)
		found = &run
		return err
	}, bareRun, id.String())
	return found, err
}
