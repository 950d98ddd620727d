package postgres

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
	"singularity/persistence"
)

// Many runs of one queue and state are kept, beside a few of others that have
// expired.
const keptAndExpired = `
INSERT INTO singularity.workflow_runs
	(id, workflow, version, input_hash, state, queue, priority, due_at, step, created_at, updated_at, finished_at)
SELECT gen_random_uuid(), 'order', 1, '', 'completed', CASE WHEN n <= %[1]d THEN 'kept' ELSE 'expired' END, 0, now(), '', now(), now(),
	now() - CASE WHEN n <= %[1]d THEN interval '2 days' ELSE interval '2 hours' END
FROM generate_series(1, %[1]d + %[2]d) AS n`

// buffers are the pages that EXPLAIN says a query touched.
type buffers struct {
	Hit  int `json:"Shared Hit Blocks"`
	Read int `json:"Shared Read Blocks"`
}

// touched counts the pages that a query asks for.
func touched(t *testing.T, conn *pgx.Conn, query string, args ...any) int {
	t.Helper()
	var document []byte
	if err := conn.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+query, args...).Scan(&document); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan buffers }
	if err := json.Unmarshal(document, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}

func TestWhatIsKeptIsNotReadToFindWhatHasExpired(t *testing.T) {
	t.Parallel()
	const kept, expired = 100_000, 300
	policy := persistence.RetentionPolicy{
		RetentionAges: persistence.RetentionAges{Completed: 240 * time.Hour},
		Queues:        map[string]persistence.RetentionAges{"expired": {Completed: time.Hour}},
	}
	store, err := Open(t.Context(), Config{URL: testpostgres.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	conn, err := pgx.Connect(t.Context(), store.cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range []string{fmt.Sprintf(keptAndExpired, kept, expired), `VACUUM ANALYZE singularity.workflow_runs`} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if pages := touched(t, conn, oldestOfAll); pages > 100 {
		t.Errorf("the look touches %d pages", pages)
	}
	if found, err := store.Expired(t.Context(), policy); err != nil || !found.Due() {
		t.Errorf("expired: %+v, %v; want the runs of queue expired", found, err)
	}
	for _, want := range []int{200, 100, 0} {
		if pruned, err := store.Prune(t.Context(), policy, 200); err != nil || pruned.Runs != want {
			t.Errorf("pruned %+v, %v; want %d runs", pruned, err, want)
		}
	}
	if found, err := store.Expired(t.Context(), policy); err != nil || found.Due() {
		t.Errorf("expired: %+v, %v; want nothing any more", found, err)
	}
	// What is gone is walked over until a vacuum comes, but for once.
	if pages := touched(t, conn, oldestOfAll); pages > 100 {
		t.Errorf("the look touches %d pages after the deletion", pages)
	}
	if pages := touched(t, conn, deleteExpired, "completed", "kept", 240*time.Hour, pruneAtOnce); pages > 20 {
		t.Errorf("a batch that finds nothing touches %d pages", pages)
	}
}
