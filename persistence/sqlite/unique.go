package sqlite

import (
	"singularity/persistence"
	"singularity/workflow"
)

// holdsUnique are the conditions that lead to the index of unique keys.
const holdsUnique = `unique_key <> x'' AND state <> 'failed' AND state <> 'cancelled' AND state <> 'quarantined'
	AND (state <> 'completed' OR unique_until IS NOT NULL)`

const lapseUnique = `
UPDATE workflow_runs
SET unique_key = x''
WHERE unique_key = ? AND ` + holdsUnique + ` AND unique_until <= ?`

// A run that is there is not there to replace itself.
const replaceRun = `
UPDATE workflow_runs
SET state = 'cancelled', sort_key = NULL, reason = ?, epoch = epoch + 1, finished_at = ?, updated_at = ?
WHERE unique_key = ? AND ` + holdsUnique + ` AND started_at IS NULL
	AND NOT EXISTS (SELECT 1 FROM workflow_runs WHERE id = ?)
RETURNING id`

// makeRoom takes the unique key of an insert from whoever need not keep it, and
// returns the run that the insert replaces; nil for none.
func (t *tx) makeRoom(w persistence.Insert) (*workflow.Run, error) {
	key := w.Unique.Key[:]
	_, err := t.exec(lapseUnique, key, t.at)
	if err != nil || w.Unique.OnConflict != workflow.Replace {
		return nil, err
	}
	var replaced workflow.RunID
	err = t.query(func(row scanner) (err error) {
		replaced, err = scanRunID(row)
		return err
	}, replaceRun, persistence.ReplacedBy(w.Run), t.at, t.at, key, w.Run.String())
	if err != nil || replaced.IsZero() {
		return nil, err
	}
	return t.read(replaced)
}

// uniqueUntil is when a run that is stored now ceases to be unique; nil while it
// has not ended.
func (t *tx) uniqueUntil(unique persistence.Unique) any {
	if unique.Within == 0 {
		return nil
	}
	return t.at + unique.Within.Microseconds()
}

const existingByUnique = `
SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
FROM ` + runTables + `
WHERE run.unique_key = ? AND run.unique_key <> x'' AND run.state <> 'failed' AND run.state <> 'cancelled' AND run.state <> 'quarantined'
	AND (run.state <> 'completed' OR run.unique_until IS NOT NULL)`

// uniqueHolder is the verdict on an insert whose unique key is in use.
func (t *tx) uniqueHolder(w persistence.Insert) (persistence.Verdict, error) {
	run, hash, err := t.find(existingByUnique, w.Unique.Key[:])
	switch {
	case err != nil:
		return persistence.Verdict{}, err
	case run == nil:
		return persistence.Verdict{}, errNothingInTheWay
	default:
		return w.Yield(run, hash), nil
	}
}

const lapseOwn = `
UPDATE workflow_runs
SET unique_key = x''
WHERE id = ? AND unique_until <= ?`

// Runs whose time is over are not in the way of a retry.
const lapseRival = `
UPDATE workflow_runs
SET unique_key = x''
WHERE unique_key = (SELECT unique_key FROM workflow_runs WHERE id = ?) AND ` + holdsUnique + ` AND unique_until <= ?`

const uniqueRival = `
SELECT id
FROM workflow_runs
WHERE unique_key = (SELECT unique_key FROM workflow_runs WHERE id = ?) AND ` + holdsUnique + ` AND id <> ?`

// uniqueRival is the other run that holds the unique key which this one would
// hold again; zero for none.
func (t *tx) uniqueRival(run workflow.RunID) (rival workflow.RunID, err error) {
	id := run.String()
	for _, lapse := range []string{lapseOwn, lapseRival} {
		if _, err := t.exec(lapse, id, t.at); err != nil {
			return rival, err
		}
	}
	err = t.query(func(row scanner) (err error) {
		rival, err = scanRunID(row)
		return err
	}, uniqueRival, id, id)
	return rival, err
}
