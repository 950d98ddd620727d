package sqlite

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// The key index and the id refuse a second run alike.
const insertRun = `
INSERT INTO workflow_runs (` + insertedColumns + `)
VALUES (` + insertedValues + `)
ON CONFLICT DO NOTHING`

const insertUniqueRun = `
INSERT INTO workflow_runs (` + insertedColumns + `, unique_key, unique_until)
VALUES (` + insertedValues + `, ?, ?)
ON CONFLICT DO NOTHING`

const insertedColumns = `
	entry, input, id, workflow, version, input_hash, key, state, queue, priority, due_at, sort_key, step,
	epoch, owner, created_at, started_at, updated_at, deadline, tags, limit_key, schedule, slot, batch_id`

const insertedValues = nextEntry + `, ` + nextEntry + `, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?`

const nextEntry = `coalesce((SELECT max(entry) FROM step_checkpoints), 0) + 1`

// perPriority is how much waiting, in microseconds, outweighs a step of priority.
const perPriority = 60_000_000

const insertInput = `
INSERT INTO step_checkpoints (entry, run_id, seq, input)
SELECT entry, id, 0, ? FROM workflow_runs WHERE id = ?`

func (t *tx) insert(w persistence.Insert) (persistence.Verdict, error) {
	due := t.at + w.Delay.Microseconds()
	if !w.Due.IsZero() {
		due = w.Due.UnixMicro()
	}
	owned := w.Owner != "" && due <= t.at
	if owned {
		var err error
		if owned, err = t.alive(w.Owner); err != nil {
			return persistence.Verdict{}, err
		}
	}
	state, place := workflow.Available, any(due+int64(w.Priority)*perPriority)
	var epoch int64
	var owner, startedAt any
	switch {
	case due > t.at:
		state = workflow.Scheduled
	case owned:
		state, place = workflow.Running, nil
		epoch, owner, startedAt = 1, string(w.Owner), t.at
	}
	tags, err := tagList(w.Tags)
	if err != nil {
		return persistence.Verdict{}, err
	}
	id := w.Run.String()
	statement, values := insertRun, []any{
		id, w.Workflow, w.Version, w.InputHash[:], text(w.Key), string(state), w.Queue, w.Priority, due, place, w.Step,
		epoch, owner, t.at, startedAt, t.at,
		deadline(w.Extras, due), tags, textOrNil(w.LimitKey), text(w.Schedule), instant(w.Slot), text(w.Batch),
	}
	var replaced *workflow.Run
	if w.Unique != nil {
		if replaced, err = t.makeRoom(w); err != nil {
			return persistence.Verdict{}, err
		}
		statement, values = insertUniqueRun, append(values, w.Unique.Key[:], t.uniqueUntil(*w.Unique))
	}
	inserted, err := t.exec(statement, values...)
	if err != nil {
		return persistence.Verdict{}, err
	}
	if inserted == 0 {
		return t.existing(w)
	}
	_, err = t.exec(insertInput, document(w.Input), id)
	return persistence.Verdict{Owned: owned, Wait: time.Duration(due-t.at) * time.Microsecond, Changed: replaced}, err
}

// deadline is that of a run that is due at a certain time; nil for none.
func deadline(extras persistence.Extras, due int64) any {
	if extras.Deadline == 0 {
		return nil
	}
	return due + extras.Deadline.Microseconds()
}

// tagList is a JSON array; nil for no tags.
func tagList(tags []string) (any, error) {
	if len(tags) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(tags)
	return string(list), err
}

func textOrNil(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// instant makes the zero time NULL.
func instant(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UnixMicro()
}

const existingByID = `
SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
FROM ` + runTables + `
WHERE run.id = ?`

const existingByKey = `
SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
FROM ` + runTables + `
WHERE run.workflow = ? AND run.key = ? AND run.state <> 'failed' AND run.state <> 'cancelled' AND run.state <> 'quarantined'
	AND run.unique_key IS NULL`

var errNothingInTheWay = errors.New("neither its id nor its key is in the way of the run, and yet something is")

// existing finds the run that is in the way of an insert.
func (t *tx) existing(w persistence.Insert) (persistence.Verdict, error) {
	conflict := &workflow.KeyConflictError{Workflow: w.Workflow, Run: w.Run}
	run, hash, err := t.find(existingByID, w.Run.String())
	if err == nil && run == nil && w.Unique != nil {
		return t.uniqueHolder(w)
	}
	if err == nil && run == nil {
		conflict.Key = w.Key
		run, hash, err = t.find(existingByKey, w.Workflow, w.Key)
	}
	switch {
	case err != nil:
		return persistence.Verdict{}, err
	case run == nil && !w.Slot.IsZero():
		return refused(persistence.ErrSlotTaken), nil
	case run == nil:
		return persistence.Verdict{}, errNothingInTheWay
	case run.Workflow != w.Workflow || !bytes.Equal(hash, w.InputHash[:]):
		conflict.Run = run.ID
		return refused(conflict), nil
	}
	return persistence.Verdict{Existing: run}, nil
}

// find returns a run and the hash of its input, nil when there is none.
func (t *tx) find(query string, args ...any) (found *workflow.Run, hash []byte, err error) {
	err = t.query(func(row scanner) error {
		run, err := scanWhole(row, &hash)
		found = &run
		return err
	}, query, args...)
	return found, hash, err
}
