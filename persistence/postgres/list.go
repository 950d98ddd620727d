package postgres

import (
	"context"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// However few runs a filter selects, only so many are looked through, the newest
// first. The last of them comes back too, for the next page to begin there. Those of
// a batch, $14, are all found by its index, which OFFSET has the planner do first.
const (
	listRuns        = listFirst + `singularity.workflow_runs` + listLast
	listRunsOfBatch = listFirst + `(SELECT ` + filtered + ` FROM singularity.workflow_runs WHERE batch_id = $14 OFFSET 0) AS member` + listLast
)

// filtered are what filters look at.
const filtered = `id, workflow, queue, key, state, tags, schedule, created_at, error, owner`

const listFirst = `
SELECT ` + runColumns + `, looked.n, looked.selected
FROM (
	SELECT newest.id, row_number() OVER (ORDER BY newest.id DESC) AS n, (
		($2 = '' OR newest.workflow = $2)
		AND ($3 = '' OR newest.queue = $3)
		AND ($4 = '' OR newest.key = $4)
		AND (cardinality($5::text[]) = 0 OR newest.state = ANY ($5::text[]))
		AND (cardinality($6::text[]) = 0 OR newest.tags @> $6::text[])
		AND ($7 = '' OR newest.schedule = $7)
		AND ($8::timestamptz IS NULL OR newest.created_at >= $8)
		AND ($9::timestamptz IS NULL OR newest.created_at < $9)
		AND ($10 = '' OR strpos(lower(newest.error COLLATE "C"), $10) > 0)
		AND ($11 = '' OR $11 = coalesce(
			(SELECT boot.instance_id FROM singularity.node_leases AS boot WHERE boot.boot = newest.owner), newest.owner
		))
	) IS TRUE AS selected
	FROM (
		SELECT ` + filtered + `
		FROM `

const listLast = `
		WHERE id < $1
		ORDER BY id DESC
		LIMIT $12
	) AS newest
) AS looked
JOIN singularity.workflow_runs AS run ON run.id = ANY (ARRAY[looked.id])
WHERE looked.selected OR looked.n = $12
ORDER BY looked.id DESC
LIMIT $13`

// afterAll is after all ids.
var afterAll = workflow.RunID{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
}

// Runs implements [persistence.Reader].
func (s *Store) Runs(ctx context.Context, filter workflow.Filter) (workflow.Page, error) {
	before := filter.Before
	if before.IsZero() {
		before = afterAll
	}
	states := make([]string, len(filter.States))
	for i, state := range filter.States {
		states[i] = string(state)
	}
	limit := persistence.PageSize(filter.Limit)
	query, args := listRuns, []any{
		[16]byte(before), filter.Workflow, filter.Queue, filter.Key, states, append([]string{}, filter.Tags...), filter.Schedule,
		optional(filter.CreatedAfter), optional(filter.CreatedBefore), persistence.Folded(filter.ErrorContains), filter.Owner,
		persistence.MaxLookedThrough, limit,
	}
	if filter.Batch != "" {
		query, args = listRunsOfBatch, append(args, filter.Batch)
	}
	var runs []workflow.Run
	var end workflow.RunID // where the search ended; zero when there are no more
	err := s.query(ctx, func(row scanner) error {
		var n int64
		var selected bool
		run, err := scanRun(row, &n, &selected)
		if selected {
			runs = append(runs, run)
		}
		if n == persistence.MaxLookedThrough {
			end = run.ID
		}
		return err
	}, query, args...)
	if err != nil {
		return workflow.Page{}, fmt.Errorf("list runs: %w", err)
	}
	page := persistence.FullPage(runs, limit)
	if len(runs) < limit && !end.IsZero() {
		page.Next, page.LookedThrough = end, persistence.MaxLookedThrough
	}
	return page, nil
}

// optional is NULL for the zero time.
func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
