package postgres

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// LIMIT keeps these from being joined in any other way than run by run.
var existingByID = &statement{"existing_by_id", `
SELECT w.n, found.*
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, n)
CROSS JOIN LATERAL (
	SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
	FROM singularity.workflow_runs AS run
	WHERE run.id = w.id
	LIMIT 1
) AS found`}

var existingByKey = &statement{"existing_by_key", `
SELECT w.n, found.*
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (workflow, key, n)
CROSS JOIN LATERAL (
	SELECT ` + runColumns + `, run.input_hash, ` + documentColumns + `
	FROM singularity.workflow_runs AS run
	WHERE run.workflow = w.workflow AND run.key = w.key
		AND run.state <> 'failed' AND run.state <> 'cancelled' AND run.state <> 'quarantined' AND run.unique_key IS NULL
	LIMIT 1
) AS found`}

// errInTheWay is the verdict on an insert as long as nobody has seen the run
// that is in its way, and if that is gone by then.
var errInTheWay = fmt.Errorf("%w: another run had its id or key, and has just gone; start it again", workflow.ErrUnavailable)

// queueExisting looks for the runs that were in the way of inserts.
func (c *commit) queueExisting() error {
	missing, keys := c.missing()
	if len(missing) == 0 {
		return nil
	}
	c.queue(existingByKey, keys.params(), c.found(missing, scanWhole, attachByKey))
	if slices.ContainsFunc(missing, isUnique) {
		c.queue(existingByUnique, uniqueKeys(missing).params(), c.found(missing, scanWhole, persistence.Insert.Yield))
	}
	c.queue(existingByID, uuids(subjects(missing)), c.found(missing, scanWhole, attachByID)) // prevails
	return nil
}

// missing are the inserts that did not land, with the keys that others may have.
func (c *commit) missing() (list []placed[persistence.Insert], keys *arrays) {
	for _, w := range c.inserts {
		if c.verdicts[w.place].Err != nil {
			list = append(list, w)
		}
	}
	keys = newArrays(len(list), pgtype.TextOID, pgtype.TextOID)
	for _, w := range list {
		keys.text(w.write.Workflow)
		if isUnique(w) {
			keys.null()
		} else {
			keys.textOrNull(w.write.Key)
		}
	}
	return list, keys
}

func uniqueKeys(inserts []placed[persistence.Insert]) *arrays {
	list := newArrays(len(inserts), pgtype.ByteaOID)
	for _, w := range inserts {
		if isUnique(w) {
			list.bytes(w.write.Unique.Key[:])
		} else {
			list.null()
		}
	}
	return list
}

// found reads a run that is in the way of one of the inserts, by its number and
// before the hash of its input.
func (c *commit) found(
	missing []placed[persistence.Insert], scan func(scanner, ...any) (workflow.Run, error),
	verdictOn func(persistence.Insert, *workflow.Run, []byte) persistence.Verdict,
) func(scanner) error {
	return func(row scanner) error {
		var n int64
		var hash []byte
		run, err := scan(numbered{row, &n}, &hash)
		if err == nil {
			w := missing[n-1]
			replaced := c.verdicts[w.place].Changed
			c.verdicts[w.place] = verdictOn(w.write, &run, hash)
			c.verdicts[w.place].Changed = replaced
		}
		return err
	}
}

// attachByID is the verdict on an insert whose id another run has.
func attachByID(w persistence.Insert, run *workflow.Run, hash []byte) persistence.Verdict {
	return attach(w, run, hash, "")
}

func attachByKey(w persistence.Insert, run *workflow.Run, hash []byte) persistence.Verdict {
	return attach(w, run, hash, w.Key)
}

func attach(w persistence.Insert, run *workflow.Run, hash []byte, key string) persistence.Verdict {
	if run.Workflow == w.Workflow && bytes.Equal(hash, w.InputHash[:]) {
		return persistence.Verdict{Existing: run}
	}
	return refused(&workflow.KeyConflictError{Workflow: w.Workflow, Key: key, Run: run.ID})
}
