package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testclock"
	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/workflow"
)

// planNode is a step of a plan as EXPLAIN tells it.
type planNode struct {
	Type  string     `json:"Node Type"`
	Table string     `json:"Relation Name"`
	Index string     `json:"Index Name"`
	Cond  string     `json:"Index Cond"`
	Plans []planNode `json:"Plans"`
}

func (n planNode) walk(visit func(planNode)) {
	visit(n)
	for _, child := range n.Plans {
		child.walk(visit)
	}
}

// render shows a plan as people read it.
func (n planNode) render(indent string) string {
	text := indent + strings.Join([]string{n.Type, n.Table, n.Index, n.Cond}, " ") + "\n"
	for _, child := range n.Plans {
		text += child.render(indent + "  ")
	}
	return text
}

// explain is the plan of a statement for whatever parameters.
func explain(t *testing.T, conn *pgx.Conn, s *statement) planNode {
	t.Helper()
	run := func(command string) []byte {
		results, err := conn.PgConn().Exec(t.Context(), command).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if rows := results[0].Rows; len(rows) > 0 {
			return rows[0][0]
		}
		return nil
	}
	run("PREPARE explained AS " + s.sql)
	defer run("DEALLOCATE explained")
	parameters := ""
	if count := run("SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'explained'"); string(count) != "0" {
		parameters = "(NULL" + strings.Repeat(", NULL", atoi(t, count)-1) + ")"
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal(run("EXPLAIN (FORMAT JSON) EXECUTE explained"+parameters), &plans); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return plans[0].Plan
}

func atoi(t *testing.T, digits []byte) (number int) {
	t.Helper()
	if err := json.Unmarshal(digits, &number); err != nil {
		t.Fatal(err)
	}
	return number
}

// Statements are planned when tables are empty, and keep those plans. Whatever
// the planner knows or believes of the tables, it must come to the same ones:
// each row is found by an index.
func TestPlansUseIndexesWhateverIsKnownOfTheTables(t *testing.T) {
	t.Parallel()
	checkPlans(t, testpostgres.URL(t), 200_000)
}

func TestPlansUseIndexesOfPartitions(t *testing.T) {
	t.Parallel()
	checkPlans(t, partitionedURL(t), 20_000)
}

// partitionedURL is a database with partitions for today and the days to come,
// for what came before and for what is of no known day.
func partitionedURL(t *testing.T) string {
	t.Helper()
	testclock.AwayFromMidnight(t, time.Now())
	url := testpostgres.URL(t)
	if _, _, err := partition(t.Context(), url, time.Minute, time.Now().AddDate(0, 0, -2)); err != nil {
		t.Fatal(err)
	}
	if days, _, err := Partition(t.Context(), url, time.Minute); err != nil || len(days.Missing()) > 0 {
		t.Fatalf("days %+v, %v; want none missing", days, err)
	}
	return url
}

// checkPlans looks at the plans before, while and after there are so many runs.
func checkPlans(t *testing.T, url string, runs int) {
	t.Helper()
	store, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	conn, err := store.writers.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()

	explained := append([]*statement{
		{"whole run", wholeRun}, {"runs", listRuns}, {"steps", listSteps}, {"records", listRecords},
		{"owned", ownedRuns}, {"ended", selectEnded}, {"backlog", backlogs}, {"expired", oldestOfAll}, {"prune", deleteExpired}, {"prune past", deletePast}, {"prune rest", deleteRest}, {"inbox", readInbox},
		{"takeovers", listTakeovers}, {"follow", followTakeover}, {"queues", listQueues},
		{"first record", firstRecord}, {"counted records", readRecords}, {"records of a run", recordsOfRun}, {"record", lockedRecord},
		{"scores", putScores}, {"rescored", listRescored}, {"note rescored", noteRescored},
		{"ripe batches", ripeBatches}, {"runs of a batch", listRunsOfBatch}, {"batch", statusOfBatch},
		{"next deadlines", nextDeadlines}, {"expire", expireRuns}, {"count of a batch", countBatch},
	}, statements...)
	plans := map[string]string{}
	for _, knowledge := range []string{`SELECT`, `ANALYZE`, `VACUUM ANALYZE`, fillRuns(runs / 4), `ANALYZE`, emptyRuns, `ANALYZE`, `VACUUM ANALYZE`} {
		if _, err := conn.Exec(t.Context(), knowledge); err != nil {
			t.Fatal(err)
		}
		for _, s := range explained {
			plan := explain(t, conn.Conn(), s)
			plan.walk(func(n planNode) { checkAccess(t, s.name, knowledge, n) })
			rendered := plan.render("")
			if before, ok := plans[s.name]; ok && rendered != before && s != takeTurns { // which may sort or hash what it counts
				t.Errorf("%s: another plan after %s:\n%sbefore:\n%s", s.name, knowledge, rendered, before)
			}
			plans[s.name] = rendered
		}
	}
}

// A session plans a renewal each time, for its parameters.
func TestRenewalFindsRunsOfOthersByIndex(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testpostgres.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range []string{fillRuns(500), `ANALYZE`} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range sessionSettings {
		if _, err := conn.Exec(t.Context(), `SELECT set_config($1, $2, false)`, name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, boot := range []string{"a", "b", "c"} { // all runs are b's
		var plans []struct{ Plan planNode }
		err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+renewLease, pgx.QueryExecModeExec,
			boot, "alive", persistence.LeaseTerm, true, 0, late, []string{"c"}).Scan(&plans)
		if err != nil {
			t.Fatal(err)
		}
		plans[0].Plan.walk(func(n planNode) {
			if n.Table == "workflow_runs" {
				checkAccess(t, "renewal of "+boot, "ANALYZE", n)
			}
		})
	}
}

// fillRuns makes four times so many runs, each with its input.
func fillRuns(quarter int) string { return fmt.Sprintf(filledRuns, quarter) }

const filledRuns = `
WITH filled AS (
	INSERT INTO singularity.workflow_runs
		(id, workflow, version, input_hash, state, queue, priority, due_at, sort_key, step, owner, created_at, updated_at, finished_at)
	SELECT gen_random_uuid(), 'order', 1, '', state, 'default', 0, now(), CASE WHEN state = 'available' THEN now() END, 'reserve',
		CASE WHEN state = 'running' THEN 'b' END, now(), now(), CASE WHEN state = 'completed' THEN now() END
	FROM generate_series(1, %d), (VALUES ('running'), ('available'), ('completed'), ('completed')) AS run (state)
	RETURNING id
)
INSERT INTO singularity.step_checkpoints (run_id, seq, input)
SELECT id, 0, '{}' FROM filled`

const emptyRuns = `TRUNCATE singularity.workflow_runs, singularity.step_checkpoints`

// hasFirst are the indexes of which the first entry is all that is asked for, or
// that hold next to nothing.
var hasFirst = map[string]bool{
	"agent_inbox_done": true, "node_leases_ended": true, "takeovers_declared": true, "workflow_runs_tended": true,
}

// readsAll are the statements that want the first of all, or all that run: those
// are few.
var readsAll = map[string]bool{
	"backlog": true, "takeovers": true, "queues": true, "queue_usage": true, "take_turns": true,
}

// checkAccess complains of a step that reads more than it is asked for.
func checkAccess(t *testing.T, name, knowledge string, n planNode) {
	t.Helper()
	switch {
	case n.Table == "" || n.Type == "ModifyTable":
	case !strings.HasPrefix(n.Type, "Index"):
		t.Errorf("%s after %s: %s on %s", name, knowledge, n.Type, n.Table)
	case n.Cond == "" && !readsAll[name] && (name != "expired" || !hasFirst[n.Index]):
		t.Errorf("%s after %s: reads all of %s", name, knowledge, n.Index)
	}
}

func TestCheckpointWritesNoIndexOfTheRun(t *testing.T) {
	t.Parallel()
	store, fences := ownedRunsOf(t, testpostgres.URL(t), 20)
	const hot = `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'workflow_runs'`
	conn, err := pgx.Connect(t.Context(), store.cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := advanceRows(fences)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().ExecParams(t.Context(), advanceRuns.sql, list.params(), nil, binaryForm, binaryForm).Close(); err != nil {
		t.Fatal(err)
	}
	var updated, withoutIndex int
	if err := tx.QueryRow(t.Context(), hot).Scan(&updated, &withoutIndex); err != nil {
		t.Fatal(err)
	}
	if updated != len(fences) || withoutIndex != len(fences) {
		t.Errorf("%d runs were updated, %d of them without their indexes; want %d", updated, withoutIndex, len(fences))
	}
}

// ownedRunsOf is a store with some runs that a boot owns, and a checkpoint for
// each.
func ownedRunsOf(t *testing.T, url string, count int) (*Store, []placed[persistence.Advance]) {
	t.Helper()
	store, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Join(t.Context(), persistence.Boot{ID: "b", Instance: "a"}); err != nil {
		t.Fatal(err)
	}
	var batch []persistence.Write
	var checkpoints []placed[persistence.Advance]
	for i := range count {
		id := workflow.NewRunID()
		batch = append(batch, persistence.Insert{Run: id, Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Owner: "b"})
		checkpoints = append(checkpoints, placed[persistence.Advance]{i, persistence.Advance{
			Fence: persistence.Fence{Run: id, Boot: "b", Epoch: 1}, State: workflow.Running, Step: "pay",
			Entry: &persistence.Entry{Step: "reserve", Attempt: 1, Outcome: workflow.StepCompleted},
		}})
	}
	if _, err := store.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return store, checkpoints
}

// The first sixteen locks of a transaction on tables and indexes cost next to
// nothing; each further one is entered in a table that all share.
func TestCheckpointOfPartitionedStoreTakesCheapLocksOnly(t *testing.T) {
	t.Parallel()
	store, steps := ownedRunsOf(t, partitionedURL(t), 2)
	conn, err := store.writers.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	list, err := advanceRows(steps)
	if err != nil {
		t.Fatal(err)
	}
	c := &commit{advances: steps[:1], verdicts: make([]persistence.Verdict, 1)}
	if err := c.queueStep(); err != nil {
		t.Fatal(err)
	}
	for name, params := range map[string][][]byte{completeStep.name: c.queries[0].params, advanceRuns.name: list.params()} {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // locks to plan it are no locks to run it
			if err := conn.Conn().PgConn().ExecPrepared(t.Context(), name, params, binaryForm, binaryForm).Read().Err; err != nil {
				t.Fatal(err)
			}
			const locks = `SELECT array_agg(relation::regclass::text || ' ' || mode) FROM pg_locks
				WHERE pid = pg_backend_pid() AND locktype = 'relation' AND NOT fastpath`
			var dear []string
			if err := tx.QueryRow(t.Context(), locks).Scan(&dear); err != nil || len(dear) > 0 {
				t.Errorf("%s takes the locks %v, %v", name, dear, err)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tx, err = conn.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
