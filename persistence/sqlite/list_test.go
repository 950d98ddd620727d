package sqlite_test

import (
	"testing"

	"singularity/persistence"
	"singularity/workflow"
)

const fillOrderly = `
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO workflow_runs
	(id, workflow, version, input_hash, state, queue, priority, due_at, step, error, entry, input, created_at, updated_at, finished_at)
SELECT printf('01900000-0000-7000-8000-%012x', n), 'order', 1, x'', 'failed', 'default', 0, 0, 'reserve',
	iif(n = 1, 'the odd one', 'the usual'), 0, 0, 0, 0, 0
FROM numbers`

func TestSearchForOneOfManyRunsEndsAndGoesOn(t *testing.T) {
	t.Parallel()
	store := openIn(t, t.TempDir())
	const runs = persistence.MaxLookedThrough + 20_000
	if _, err := store.outside(t).ExecContext(t.Context(), fillOrderly, runs); err != nil {
		t.Fatal(err)
	}
	list := func(filter workflow.Filter) workflow.Page {
		t.Helper()
		page, err := store.Runs(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	odd := workflow.Filter{ErrorContains: "ODD"}
	page := list(odd)
	if len(page.Runs) != 0 || page.LookedThrough != persistence.MaxLookedThrough || page.Next.IsZero() {
		t.Fatalf("page %+v, want an empty one that says where to go on", page)
	}
	odd.Before = page.Next
	if page = list(odd); len(page.Runs) != 1 || !page.Next.IsZero() || page.LookedThrough != 0 {
		t.Errorf("next page %+v, want the odd run and no more", page)
	}
	usual := workflow.Filter{ErrorContains: "usual", Limit: 1000}
	if page = list(usual); len(page.Runs) != 1000 || page.LookedThrough != 0 || page.Next != page.Runs[999].ID {
		t.Errorf("%d runs, looked through %d, next %s; want a full page", len(page.Runs), page.LookedThrough, page.Next)
	}
}
