package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// query runs a statement on its own and calls scan for each row. It may run
// twice: a connection that turns out to be broken is replaced.
func (s *Store) query(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	err := s.queryOnce(ctx, scan, query, args)
	if cause, ok := errors.AsType[unread](err); ok && ctx.Err() == nil && isBroken(cause) {
		s.readers.Reset() // the others broke with it, most likely
		err = s.queryOnce(ctx, scan, query, args)
	}
	if err != nil && s.closed.Load() {
		return errClosed
	}
	return translate(err)
}

// unread is an error from before the first row.
type unread struct{ error }

func (e unread) Unwrap() error { return e.error }

func (s *Store) queryOnce(ctx context.Context, scan func(scanner) error, query string, args []any) error {
	rows, err := s.readers.Query(ctx, query, args...)
	if err != nil {
		return unread{err}
	}
	seen := false
	err = scanAll(rows, func(row scanner) error {
		seen = true
		return scan(row)
	})
	if err != nil && !seen {
		return unread{err}
	}
	return err
}

const wholeRun = `
SELECT ` + runColumns + `, ` + documentColumns + `
FROM singularity.workflow_runs AS run
WHERE run.id = $1`

// Run implements [persistence.Reader].
func (s *Store) Run(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	var run workflow.Run
	found := false
	err := s.query(ctx, func(row scanner) (err error) {
		found = true
		run, err = scanWhole(row)
		return err
	}, wholeRun, [16]byte(id))
	if err == nil && !found {
		err = workflow.ErrRunNotFound
	}
	if err != nil {
		return workflow.Run{}, fmt.Errorf("run %s: %w", id, err)
	}
	return run, nil
}

// Row 0 is the input; it proves that the run is there, which may have left its
// history to be dropped with its day.
const listSteps = `
SELECT entry.seq, coalesce(entry.step, ''), coalesce(entry.turn, 0), coalesce(entry.attempt, 0), coalesce(entry.outcome, ''),
	coalesce(entry.epoch, 0),
	coalesce((SELECT boot.instance_id FROM singularity.node_leases AS boot WHERE boot.boot = entry.owner), entry.owner, ''),
	entry.state, coalesce(entry.error, ''), entry.started_at, entry.finished_at
FROM singularity.step_checkpoints AS entry
WHERE entry.run_id = $1 AND (SELECT true FROM singularity.workflow_runs AS run WHERE run.id = $1)
ORDER BY entry.seq`

const listRecords = `
SELECT seq, kind, doc, recorded_at, scores
FROM singularity.step_records
WHERE run_id = $1
ORDER BY seq, number`

// Steps implements [persistence.Reader].
func (s *Store) Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error) {
	var steps []workflow.StepRun
	lines := map[int64]int{}
	err := s.query(ctx, func(row scanner) error {
		step, err := scanStep(row)
		lines[step.Seq] = len(steps)
		steps = append(steps, step)
		return err
	}, listSteps, [16]byte(id))
	if err == nil && len(steps) == 0 {
		err = workflow.ErrRunNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("steps of run %s: %w", id, err)
	}
	err = s.query(ctx, func(row scanner) error {
		seq, fact, err := scanFact(row)
		// A commit between the two reads may have added an entry.
		if line, ok := lines[seq]; ok {
			steps[line].Facts = append(steps[line].Facts, fact)
		}
		return err
	}, listRecords, [16]byte(id))
	if err != nil {
		return nil, fmt.Errorf("records of run %s: %w", id, err)
	}
	return steps[1:], nil
}

func scanStep(row scanner) (workflow.StepRun, error) {
	var step workflow.StepRun
	var started, finished *time.Time
	err := row.Scan(&step.Seq, &step.Step, &step.Turn, &step.Attempt, (*string)(&step.Outcome),
		&step.Epoch, &step.Owner, (*[]byte)(&step.State), &step.Error, &started, &finished)
	if started != nil && finished != nil {
		step.StartedAt, step.FinishedAt = started.UTC(), finished.UTC()
	}
	return step, err
}

func scanFact(row scanner) (int64, workflow.Fact, error) {
	var seq int64
	var fact workflow.Fact
	var scores []byte
	err := row.Scan(&seq, &fact.Kind, (*[]byte)(&fact.Doc), &fact.At, &scores)
	if err == nil {
		fact.Scores, err = persistence.DecodeScores(scores)
	}
	fact.At = fact.At.UTC()
	return seq, fact, err
}

// The order is made elsewhere: the index of ids would have it, at the price of
// all runs.
const ownedRuns = `
SELECT id
FROM singularity.workflow_runs
WHERE state = 'running' AND owner = $1`

// Owned implements [persistence.Reader].
func (s *Store) Owned(ctx context.Context, boot persistence.BootID) ([]workflow.RunID, error) {
	var owned []workflow.RunID
	err := s.query(ctx, func(row scanner) error {
		var id workflow.RunID
		err := row.Scan((*[16]byte)(&id))
		owned = append(owned, id)
		return err
	}, ownedRuns, string(boot))
	if err != nil {
		return nil, fmt.Errorf("runs owned by boot %s: %w", boot, err)
	}
	slices.SortFunc(owned, func(a, b workflow.RunID) int { return bytes.Compare(a[:], b[:]) })
	return owned, nil
}

// waitingQueues walks the index from queue to queue, and ends with a null.
const waitingQueues = `queues (name) AS (
		SELECT (SELECT run.queue FROM ` + claimableRuns + ` ORDER BY run.queue LIMIT 1)
		UNION ALL
		SELECT (SELECT run.queue FROM ` + claimableRuns + ` AND run.queue > queues.name ORDER BY run.queue LIMIT 1)
		FROM queues
		WHERE queues.name IS NOT NULL
	)`

// The index answers it all: in each queue, alone or not, and of each priority,
// is there a run that is due, and when is the first one due that is not?
const backlogs = `
WITH RECURSIVE
	` + waitingQueues + `,
	heads AS MATERIALIZED (
		SELECT queues.name, lane.alone,
			(
				SELECT true FROM ` + claimableRuns + ` AND ` + knownDefinitions + `
				AND run.queue = queues.name AND (run.crash_count >= 2) = lane.alone
				AND run.priority = level.priority AND run.sort_key <= now() + level.priority * interval '1 minute'
				LIMIT 1
			) IS TRUE AS due,
			(
				SELECT run.sort_key FROM ` + claimableRuns + ` AND ` + knownDefinitions + `
				AND run.queue = queues.name AND (run.crash_count >= 2) = lane.alone
				AND run.priority = level.priority AND run.sort_key > now() + level.priority * interval '1 minute'
				ORDER BY run.sort_key LIMIT 1
			) - level.priority * interval '1 minute' AS next
		FROM queues
		CROSS JOIN (VALUES (false), (true)) AS lane (alone)
		CROSS JOIN generate_series(0, 9) AS level (priority)
		WHERE queues.name IS NOT NULL
	)
SELECT name, bool_or(due AND NOT alone), bool_or(due AND alone), coalesce(min(next) - now(), interval '0')
FROM heads
WHERE due OR next IS NOT NULL
GROUP BY name
ORDER BY name`

// Backlog implements [persistence.Reader].
func (s *Store) Backlog(ctx context.Context, known []persistence.Definition) ([]persistence.Backlog, error) {
	workflows, versions := make([]string, len(known)), make([]int, len(known))
	for i, definition := range known {
		workflows[i], versions[i] = definition.Workflow, definition.Version
	}
	var found []persistence.Backlog
	err := s.query(ctx, func(row scanner) error {
		var backlog persistence.Backlog
		err := row.Scan(&backlog.Queue, &backlog.Due, &backlog.Solo, &backlog.Next)
		found = append(found, backlog)
		return err
	}, backlogs, workflows, versions)
	if err != nil {
		return nil, fmt.Errorf("backlog: %w", err)
	}
	return found, nil
}
