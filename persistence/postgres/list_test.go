package postgres

import (
	"testing"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/workflow"
)

const fillOrderly = `
INSERT INTO singularity.workflow_runs
	(id, workflow, version, input_hash, state, queue, priority, due_at, step, error, created_at, updated_at, finished_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'order', 1, '', 'failed', 'default', 0, now(), 'reserve',
	CASE WHEN n = 1 THEN 'the odd one' ELSE 'the usual' END, now(), now(), now()
FROM generate_series(1, $1::integer) AS n`

func TestSearchForOneOfManyRunsEndsAndGoesOn(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), Config{URL: testpostgres.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	const runs = persistence.MaxLookedThrough + 20_000
	if _, err := store.readers.Exec(t.Context(), fillOrderly, runs); err != nil {
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
