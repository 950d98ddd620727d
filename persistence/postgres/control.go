package postgres

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

var reactivateRuns = &statement{"reactivate_runs", `
UPDATE singularity.workflow_runs AS run
SET epoch = run.epoch + 1, updated_at = now()
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS w (id, boot, n)
WHERE run.id = ANY (ARRAY[w.id]) AND run.owner IS NOT DISTINCT FROM w.boot AND (run.state = 'running') IS TRUE
RETURNING w.n, ` + activationColumns}

func (c *commit) queueReactivates() error {
	if len(c.reactivates) == 0 {
		return nil
	}
	sortByRun(c.reactivates)
	list := newArrays(len(c.reactivates), pgtype.UUIDOID, pgtype.TextOID)
	for _, w := range c.reactivates {
		list.uuid(w.write.Run)
		list.text(string(w.write.Boot))
		c.verdicts[w.place].Err = persistence.ErrFenced
	}
	c.queue(reactivateRuns, list.params(), func(row scanner) error {
		var n int64
		activation, err := scanActivation(numbered{row, &n})
		if err == nil {
			c.verdicts[c.reactivates[n-1].place] = persistence.Verdict{Activations: []persistence.Activation{activation}}
		}
		return err
	})
	return nil
}

// Their owners learn of it at once, whether or not messages reach them. The lock
// keeps runs from beginning between this statement and the next.
var tellCancelled = &statement{"tell_cancelled", `
WITH locked AS MATERIALIZED (
	SELECT id, state
	FROM singularity.workflow_runs
	WHERE id = ANY ($1::uuid[])
	ORDER BY id
	FOR NO KEY UPDATE
)
SELECT pg_notify('` + cancelledChannel + `', id::text)
FROM locked
WHERE state = 'running'`}

var cancelRuns = &statement{"cancel_runs", `
UPDATE singularity.workflow_runs AS run
SET state = 'cancelled', sort_key = NULL, reason = w.reason, epoch = run.epoch + 1, owner = NULL, claim_id = NULL,
	finished_at = now(), updated_at = now()
FROM unnest($1::uuid[], $2::text[]) AS w (id, reason)
WHERE run.id = ANY (ARRAY[w.id]) AND (run.finished_at IS NULL) IS TRUE`}

var bareRuns = &statement{"bare_runs", `
SELECT ` + runColumns + `
FROM singularity.workflow_runs AS run
WHERE run.id = ANY ($1::uuid[])`}

// queueCancels reads the runs in the same transaction, which tells what became
// of them.
func (c *commit) queueCancels() error {
	if len(c.cancels) == 0 {
		return nil
	}
	sortByRun(c.cancels)
	list := newArrays(len(c.cancels), pgtype.UUIDOID, pgtype.TextOID)
	places := map[workflow.RunID]int{}
	for _, w := range c.cancels {
		list.uuid(w.write.Run)
		list.textOrNull(w.write.Reason)
		places[w.write.Run] = w.place
		c.verdicts[w.place].Err = workflow.ErrRunNotFound
	}
	ids := uuids(subjects(c.cancels))
	c.queue(tellCancelled, ids, func(scanner) error { return nil })
	c.queue(cancelRuns, list.params(), nil)
	c.queue(bareRuns, ids, func(row scanner) error {
		run, err := scanRun(row)
		if err != nil {
			return err
		}
		verdict := persistence.Verdict{Changed: &run}
		if run.State != workflow.Cancelled {
			verdict = refused(fmt.Errorf("%w: the run has %s", workflow.ErrWrongState, run.State))
		}
		c.verdicts[places[run.ID]] = verdict
		return nil
	})
	return nil
}

// hasKey is the condition that another run has the key of this one.
const hasKey = `holder.workflow = run.workflow AND holder.key = run.key AND holder.id <> run.id
			AND holder.state <> 'failed' AND holder.state <> 'cancelled' AND holder.state <> 'quarantined'
			AND holder.unique_key IS NULL AND (run.unique_key IS NULL) IS TRUE`

var retryRuns = &statement{"retry_runs", `
UPDATE singularity.workflow_runs AS run
SET state = 'available', attempt = 0, crash_count = 0, error = NULL, reason = NULL,
	epoch = run.epoch + 1, owner = NULL, claim_id = NULL, deadline = NULL,
	due_at = now(), sort_key = now() + run.priority * interval '1 minute', finished_at = NULL, updated_at = now(),
	unique_key = CASE WHEN run.unique_until <= now() THEN '' ELSE run.unique_key END
FROM unnest($1::uuid[]) AS w (id)
WHERE run.id = ANY (ARRAY[w.id]) AND run.state IN ('failed', 'cancelled', 'quarantined', 'waiting')
	AND (
		(SELECT true FROM singularity.workflow_runs AS holder WHERE ` + hasKey + ` LIMIT 1) IS NOT TRUE
		AND (` + uniqueHolder + `) IS NULL
	) IS TRUE
RETURNING run.id`}

// The runs as they are now, with those that have the keys of the others.
var keyHolders = &statement{"key_holders", `
SELECT ` + runColumns + `, (SELECT holder.id FROM singularity.workflow_runs AS holder WHERE ` + hasKey + ` LIMIT 1), (` + uniqueHolder + `)
FROM singularity.workflow_runs AS run
WHERE run.id = ANY ($1::uuid[])`}

// queueRetries reads the runs in the same transaction, as they are now or, if
// they were not retried, as they stay.
func (c *commit) queueRetries() error {
	if len(c.retries) == 0 {
		return nil
	}
	sortByRun(c.retries)
	places := map[workflow.RunID]int{}
	for _, w := range c.retries {
		places[w.write.Run] = w.place
		c.verdicts[w.place].Err = workflow.ErrRunNotFound
	}
	retried := map[workflow.RunID]bool{}
	ids := uuids(subjects(c.retries))
	c.queue(lapseRivals, ids, nil)
	c.queue(retryRuns, ids, func(row scanner) error {
		var id workflow.RunID
		err := row.Scan((*[16]byte)(&id))
		retried[id] = true
		return err
	})
	c.queue(keyHolders, ids, func(row scanner) error {
		var holder, unique pgtype.UUID
		run, err := scanRun(row, &holder, &unique)
		if err != nil {
			return err
		}
		verdict := &c.verdicts[places[run.ID]]
		switch {
		case retried[run.ID]:
			*verdict = persistence.Verdict{Changed: &run}
		case !retriable(run.State):
			verdict.Err = fmt.Errorf("%w: the run is %s", workflow.ErrWrongState, run.State)
		case unique.Valid:
			verdict.Err = &workflow.UniqueError{Workflow: run.Workflow, Run: unique.Bytes}
		case !holder.Valid:
			verdict.Err = fmt.Errorf("%w: the run has only just become %s; retry it again", workflow.ErrWrongState, run.State)
		default:
			verdict.Err = &workflow.KeyConflictError{Workflow: run.Workflow, Key: run.Key, Run: holder.Bytes}
		}
		return nil
	})
	return nil
}

func retriable(state workflow.State) bool {
	return state == workflow.Failed || state == workflow.Cancelled || state == workflow.Quarantined || state == workflow.Waiting
}

func sortByRun[W persistence.Write](writes []placed[W]) {
	slices.SortFunc(writes, func(a, b placed[W]) int {
		left, right := a.write.Subject(), b.write.Subject()
		return bytes.Compare(left[:], right[:])
	})
}
