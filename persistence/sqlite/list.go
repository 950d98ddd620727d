package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

const (
	listRuns        = listFirst + listLast
	listRunsOfBatch = listFirst + ` AND run.batch_id = ?14` + listLast
)

const listFirst = `
SELECT ` + runColumns + `
FROM ` + runTables + `
WHERE run.id < ?1 AND run.id >= ?2
	AND (?3 = '' OR run.workflow = ?3)
	AND (?4 = '' OR run.queue = ?4)
	AND (?5 = '' OR run.key = ?5)
	AND (?6 = '[]' OR run.state IN (SELECT value FROM json_each(?6)))
	AND (?7 = '[]' OR NOT EXISTS (
		SELECT 1
		FROM json_each(?7) AS wanted
		WHERE NOT EXISTS (SELECT 1 FROM json_each(run.tags) AS tag WHERE tag.value = wanted.value)
	))
	AND (?8 = '' OR run.schedule = ?8)
	AND (?9 IS NULL OR run.created_at >= ?9)
	AND (?10 IS NULL OR run.created_at < ?10)
	AND (?11 = '' OR instr(lower(run.error), ?11) > 0)
	AND (?12 = '' OR ?12 = coalesce(boot.instance_id, run.owner))`

const listLast = `
ORDER BY run.id DESC
LIMIT ?13`

// lookAhead finds the last of so many runs.
const lookAhead = `
SELECT id
FROM workflow_runs
WHERE id < ?
ORDER BY id DESC
LIMIT 1 OFFSET ?`

const lookAheadInBatch = `
SELECT id
FROM workflow_runs
WHERE id < ? AND batch_id = ?
ORDER BY id DESC
LIMIT 1 OFFSET ?`

const (
	afterAll  = "~" // all ids
	beforeAll = ""
	firstLook = 2 * 1000 // runs: most pages are full then
)

// Runs implements [persistence.Reader]. It looks through more and more runs until
// the page is full.
func (s *Store) Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	page, err := s.list(ctx, filter)
	if err != nil {
		return workflow.Page{}, fmt.Errorf("list runs: %w", err)
	}
	return page, nil
}

func (s *Store) list(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	before := afterAll
	if !filter.Before.IsZero() {
		before = filter.Before.String()
	}
	limit := persistence.PageSize(filter.Limit)
	var runs []workflow.Run
	for looked, some := 0, firstLook; looked < persistence.MaxLookedThrough; looked, some = looked+some, 9*(looked+some) {
		some = min(some, persistence.MaxLookedThrough-looked)
		last, err := s.lastOf(ctx, before, filter.Batch, some)
		if err != nil {
			return workflow.Page{}, err
		}
		found, err := s.between(ctx, before, last, filter, limit-len(runs))
		if err != nil {
			return workflow.Page{}, err
		}
		runs = append(runs, found...)
		if len(runs) == limit || last == beforeAll {
			return persistence.FullPage(runs, limit), nil
		}
		before = last
	}
	next, err := workflow.ParseRunID(before)
	return workflow.Page{Runs: runs, Next: next, LookedThrough: persistence.MaxLookedThrough}, err
}

// lastOf is the id of the last of so many runs before an id, all or those of a
// batch, or beforeAll when there are not as many.
func (s *Store) lastOf(ctx context.Context, before, batch string, some int) (string, error) {
	query, args := lookAhead, []any{before, some - 1}
	if batch != "" {
		query, args = lookAheadInBatch, []any{before, batch, some - 1}
	}
	last := beforeAll
	err := s.readers.query(ctx, func(row scanner) error { return row.Scan(&last) }, query, args...)
	return last, err
}

// between lists runs from the first id up to and with the last.
func (s *Store) between(ctx context.Context, before, last string, filter workflow.Filter, limit int) ([]workflow.Run, error) {
	states, err := json.Marshal(append([]workflow.State{}, filter.States...))
	if err != nil {
		return nil, err
	}
	tags, err := json.Marshal(append([]string{}, filter.Tags...))
	if err != nil {
		return nil, err
	}
	query, args := listRuns, []any{
		before, last, filter.Workflow, filter.Queue, filter.Key, string(states), string(tags), filter.Schedule,
		instant(filter.CreatedAfter), instant(filter.CreatedBefore), persistence.Folded(filter.ErrorContains), filter.Owner, limit,
	}
	if filter.Batch != "" {
		query, args = listRunsOfBatch, append(args, filter.Batch)
	}
	var runs []workflow.Run
	err = s.readers.query(ctx, func(row scanner) error {
		run, err := scanRun(row)
		runs = append(runs, run)
		return err
	}, query, args...)
	return runs, err
}
