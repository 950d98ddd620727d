package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

const wholeRun = `
SELECT ` + runColumns + `, ` + documentColumns + `
FROM ` + runTables + `
WHERE run.id = ?`

// Run implements [persistence.Reader].
func (s *Store) Run(ctx context.Context, id workflow.RunID) (workflow.Run, error) {
	var run workflow.Run
	found := false
	err := s.readers.query(ctx, func(row scanner) (err error) {
		found = true
		run, err = scanWhole(row)
		return err
	}, wholeRun, id.String())
	if err == nil && !found {
		err = workflow.ErrRunNotFound
	}
	if err != nil {
		return workflow.Run{}, fmt.Errorf("run %s: %w", id, err)
	}
	return run, nil
}

// Row 0 is the input; it proves that the run is there.
const listSteps = `
WITH RECURSIVE history AS (
	SELECT newest.entry, newest.previous
	FROM workflow_runs AS run JOIN step_checkpoints AS newest USING (entry)
	WHERE run.id = ?
	UNION ALL
	SELECT earlier.entry, earlier.previous
	FROM history JOIN step_checkpoints AS earlier ON earlier.entry = history.previous
)
SELECT entry.seq, coalesce(entry.step, ''), coalesce(entry.turn, 0), coalesce(entry.attempt, 0), coalesce(entry.outcome, ''),
	coalesce(entry.epoch, 0), coalesce(boot.instance_id, entry.owner, ''), entry.state, coalesce(entry.error, ''),
	coalesce(entry.started_at, 0), coalesce(entry.finished_at, 0)
FROM history
CROSS JOIN step_checkpoints AS entry USING (entry)
LEFT JOIN node_leases AS boot ON boot.boot = entry.owner`

const listRecords = `
SELECT seq, kind, doc, recorded_at, scores
FROM step_records
WHERE run_id = ?
ORDER BY seq, number`

// Steps implements [persistence.Reader].
func (s *Store) Steps(ctx context.Context, id workflow.RunID) ([]workflow.StepRun, error) {
	var steps []workflow.StepRun
	err := s.readers.query(ctx, func(row scanner) error {
		step, err := scanStep(row)
		steps = append(steps, step)
		return err
	}, listSteps, id.String())
	if err == nil && len(steps) == 0 {
		err = workflow.ErrRunNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("steps of run %s: %w", id, err)
	}
	slices.SortFunc(steps, func(a, b workflow.StepRun) int { return cmp.Compare(a.Seq, b.Seq) })
	lines := make(map[int64]int, len(steps))
	for line, step := range steps {
		lines[step.Seq] = line
	}
	err = s.readers.query(ctx, func(row scanner) error {
		seq, fact, err := scanFact(row)
		// A commit between the two reads may have added an entry.
		if line, ok := lines[seq]; ok {
			steps[line].Facts = append(steps[line].Facts, fact)
		}
		return err
	}, listRecords, id.String())
	if err != nil {
		return nil, fmt.Errorf("records of run %s: %w", id, err)
	}
	return steps[1:], nil
}

func scanStep(row scanner) (workflow.StepRun, error) {
	var step workflow.StepRun
	var state []byte
	var started, finished int64
	err := row.Scan(&step.Seq, &step.Step, &step.Turn, &step.Attempt, &step.Outcome,
		&step.Epoch, &step.Owner, &state, &step.Error, &started, &finished)
	step.State = state
	step.StartedAt, step.FinishedAt = moment(started), moment(finished)
	return step, err
}

func scanFact(row scanner) (int64, workflow.Fact, error) {
	var seq, at int64
	var fact workflow.Fact
	var doc, scores []byte
	err := row.Scan(&seq, &fact.Kind, &doc, &at, &scores)
	if err == nil {
		fact.Scores, err = persistence.DecodeScores(scores)
	}
	fact.Doc, fact.At = doc, moment(at)
	return seq, fact, err
}

const ownedRuns = `
SELECT id
FROM workflow_runs
WHERE state = 'running' AND owner = ?
ORDER BY id`

// Owned implements [persistence.Reader].
func (s *Store) Owned(ctx context.Context, boot persistence.BootID) ([]workflow.RunID, error) {
	var owned []workflow.RunID
	err := s.readers.query(ctx, func(row scanner) error {
		id, err := scanRunID(row)
		owned = append(owned, id)
		return err
	}, ownedRuns, string(boot))
	if err != nil {
		return nil, fmt.Errorf("runs owned by boot %s: %w", boot, err)
	}
	return owned, nil
}

func scanRunID(row scanner) (workflow.RunID, error) {
	var id string
	if err := row.Scan(&id); err != nil {
		return workflow.RunID{}, err
	}
	return workflow.ParseRunID(id)
}

// The index answers it all: in each queue, alone or not, and of each priority,
// is there a run that is due, and when is the first one due that is not?
const backlogs = `
WITH RECURSIVE
	queues (name) AS (
		SELECT (SELECT queue FROM ` + claimableRuns + ` ORDER BY queue LIMIT 1)
		UNION ALL
		SELECT (SELECT queue FROM ` + claimableRuns + ` AND queue > queues.name ORDER BY queue LIMIT 1)
		FROM queues
		WHERE name IS NOT NULL
	),
	lanes (alone) AS (VALUES (0), (1)),
	priorities (level) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)),
	heads AS MATERIALIZED (
		SELECT name, lanes.alone,
			EXISTS (
				SELECT 1 FROM ` + claimableRuns + ` AND ` + knownDefinitions + `
				AND queue = name AND (crash_count >= 2) = lanes.alone AND priority = level AND sort_key <= ?2 + level * 60000000
			) AS due,
			(
				SELECT sort_key FROM ` + claimableRuns + ` AND ` + knownDefinitions + `
				AND queue = name AND (crash_count >= 2) = lanes.alone AND priority = level AND sort_key > ?2 + level * 60000000
				ORDER BY sort_key LIMIT 1
			) - level * 60000000 AS next
		FROM queues CROSS JOIN lanes CROSS JOIN priorities
		WHERE name IS NOT NULL
	)
SELECT name, max(due AND NOT alone), max(due AND alone), min(next)
FROM heads
WHERE due OR next IS NOT NULL
GROUP BY name
ORDER BY name`

// Backlog implements [persistence.Reader].
func (s *Store) Backlog(ctx context.Context, known []persistence.Definition) ([]persistence.Backlog, error) {
	var found []persistence.Backlog
	at := now()
	err := s.readers.query(ctx, func(row scanner) error {
		var backlog persistence.Backlog
		var next sql.NullInt64
		if err := row.Scan(&backlog.Queue, &backlog.Due, &backlog.Solo, &next); err != nil {
			return err
		}
		if next.Valid {
			backlog.Next = time.Duration(next.Int64-at) * time.Microsecond
		}
		found = append(found, backlog)
		return nil
	}, backlogs, definitions(known), at)
	if err != nil {
		return nil, fmt.Errorf("backlog: %w", err)
	}
	return found, nil
}
