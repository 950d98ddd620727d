package postgres

import (
	"context"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// However few runs a filter selects, only so many are looked through, the newest
// first. The last of them comes back too, for the next page to begin there.
const listRuns = `
SELECT ` + runColumns + `, run.n, run.selected
FROM (
	SELECT looked.*, row_number() OVER (ORDER BY looked.id DESC) AS n, (
		($2 = '' OR looked.workflow = $2)
		AND ($3 = '' OR looked.queue = $3)
		AND ($4 = '' OR looked.key = $4)
		AND (cardinality($5::text[]) = 0 OR looked.state = ANY ($5::text[]))
		AND (cardinality($6::text[]) = 0 OR looked.tags @> $6::text[])
		AND ($7 = '' OR looked.schedule = $7)
		AND ($8::timestamptz IS NULL OR looked.created_at >= $8)
		AND ($9::timestamptz IS NULL OR looked.created_at < $9)
		AND ($10 = '' OR strpos(lower(looked.error COLLATE "C"), $10) > 0)
		AND ($11 = '' OR $11 = coalesce(
			(SELECT boot.instance_id FROM singularity.node_leases AS boot WHERE boot.boot = looked.owner), looked.owner
		))
	) IS TRUE AS selected
	FROM (
		SELECT newest.*
		FROM singularity.workflow_runs AS newest
		WHERE newest.id < $1
		ORDER BY newest.id DESC
		LIMIT $12
	) AS looked
) AS run
WHERE run.selected OR run.n = $12
ORDER BY run.id DESC
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
	}, listRuns, [16]byte(before), filter.Workflow, filter.Queue, filter.Key, states, append([]string{}, filter.Tags...), filter.Schedule,
		optional(filter.CreatedAfter), optional(filter.CreatedBefore), persistence.Folded(filter.ErrorContains), filter.Owner,
		persistence.MaxLookedThrough, limit)
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
