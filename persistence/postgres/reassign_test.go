package postgres

import (
	"encoding/json"
	"testing"

	"singularity/internal/testpostgres"
	"singularity/persistence"
)

func TestReassignPassesOverTheRunsOfTheLiving(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), Config{URL: testpostgres.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Join(t.Context(), persistence.Boot{ID: "alive", Instance: "a"}); err != nil {
		t.Fatal(err)
	}
	conn, err := store.readers.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	const insertRuns = `
		INSERT INTO singularity.workflow_runs (id, workflow, version, input_hash, state, queue, priority, due_at, step, created_at, updated_at, owner)
		SELECT gen_random_uuid(), 'order', 1, '', 'running', 'default', 0, now(), 'pay', now(), now(), $1
		FROM generate_series(1, $2::integer)`
	for owner, runs := range map[string]int{"alive": 10_000, "dead": 10} {
		if _, err := conn.Exec(t.Context(), insertRuns, owner, runs); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "PREPARE reassign (bigint, integer, text, integer) AS "+reassignRuns); err != nil {
		t.Fatal(err)
	}
	var document []byte
	const explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE reassign (100, 3, 'quarantined', 32)"
	if err := conn.QueryRow(t.Context(), explain).Scan(&document); err != nil {
		t.Fatal(err)
	}
	var plans []struct {
		Plan struct {
			Pages int `json:"Shared Hit Blocks"`
		}
	}
	if err := json.Unmarshal(document, &plans); err != nil {
		t.Fatal(err)
	}
	const most = 200 // the runs of the living alone have more
	if pages := plans[0].Plan.Pages; pages == 0 || pages > most {
		t.Errorf("ten runs were released by looking at %d pages, want at most %d:\n%s", pages, most, document)
	}
	if left, err := store.Owned(t.Context(), "dead"); err != nil || len(left) != 0 {
		t.Errorf("runs of the dead boot: %v, %v; want none", left, err)
	}
}
