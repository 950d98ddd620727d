package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/sqlite"
	"singularity/persistence/storetest"
	"singularity/workflow"
)

// opened is a store that knows where it is.
type opened struct {
	*sqlite.Store
	dir string
}

func openIn(t testing.TB, dir string) *opened {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &opened{store, dir}
}

// outside is a connection to the store's database as an operator has it.
func (o *opened) outside(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(o.dir, "singularity.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Config{
		Open: func(t testing.TB) persistence.Store { return openIn(t, t.TempDir()) },
		Reopen: func(t testing.TB, store persistence.Store) persistence.Store {
			if err := store.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			return openIn(t, store.(*opened).dir)
		},
		JobResult: jobResult,
	})
}

// jobResult reads job_results by the names that operators use.
func jobResult(ctx context.Context, store persistence.Store, id workflow.RunID) (storetest.JobResult, bool, error) {
	const query = `
		SELECT instance_id, job_type, success, coalesce(error_reason, ''), coalesce(error_class, ''), duration_ms,
			cost_cents, coalesce(model_used, ''), coalesce(tokens_used, 0), patterns_discovered,
			insights, input_summary, result_summary
		FROM job_results WHERE job_id = ?`
	result := storetest.JobResult{Run: id}
	db, err := sql.Open("sqlite", filepath.Join(store.(*opened).dir, "singularity.db"))
	if err != nil {
		return result, false, err
	}
	defer db.Close()
	var millis int64
	var patterns, insights, input, output []byte
	summary := &result.Summary
	err = db.QueryRowContext(ctx, query, id.String()).Scan(
		&result.Instance, &result.JobType, &result.Success, &result.ErrorReason, &summary.ErrorClass, &millis,
		&summary.CostCents, &summary.Model, &summary.Tokens, &patterns, &insights, &input, &output)
	if errors.Is(err, sql.ErrNoRows) {
		return result, false, nil
	}
	result.Duration = time.Duration(millis) * time.Millisecond
	summary.Insights, summary.Input, summary.Result = insights, input, output
	if err == nil && patterns != nil {
		err = json.Unmarshal(patterns, &summary.Patterns)
	}
	return result, err == nil, err
}

func TestOperatorsQueriesReadAsTheyKnowThem(t *testing.T) {
	t.Parallel()
	store := openIn(t, t.TempDir())
	boot := persistence.Boot{ID: "b-1", Instance: "worker-1", Hostname: "host", PID: 7, Version: "v1"}
	gone := persistence.Boot{ID: "b-0", Instance: "worker-0"}
	for _, boot := range []persistence.Boot{gone, boot} {
		if err := store.Join(t.Context(), boot); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Leave(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	insert(t, store, boot.ID, 3)
	insert(t, store, "", 2)

	queries := []struct{ query, want string }{
		{`SELECT reserved_by, count(*) FROM jobs WHERE state = 'executing' GROUP BY reserved_by`, "worker-1 3"},
		{`SELECT instance_id, status, load FROM instance_registry ORDER BY last_heartbeat DESC`, "worker-1 online 3; worker-0 offline 0"},
		{`SELECT hostname, pid, capabilities, unixepoch('now') - unixepoch(last_heartbeat) < 5 FROM instance_registry WHERE status = 'online'`, "host 7 {} 1"},
		{`SELECT state, count(*) FROM jobs WHERE queue = 'default' GROUP BY state ORDER BY state`, "available 2; executing 3"},
	}
	for _, q := range queries {
		if got := query(t, store.outside(t), q.query); got != q.want {
			t.Errorf("%s\ngives %q, want %q", q.query, got, q.want)
		}
	}
}

func TestCallsAfterCloseFail(t *testing.T) {
	t.Parallel()
	store := openIn(t, t.TempDir())
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if err := store.Join(t.Context(), persistence.Boot{ID: "b"}); !errors.Is(err, workflow.ErrUnavailable) {
		t.Errorf("join: %v, want %v", err, workflow.ErrUnavailable)
	}
	if _, err := store.Runs(t.Context(), workflow.Filter{}); !errors.Is(err, workflow.ErrUnavailable) {
		t.Errorf("runs: %v, want %v", err, workflow.ErrUnavailable)
	}
}

func TestOpenNamesEveryMistakeInItsConfig(t *testing.T) {
	t.Parallel()
	_, err := sqlite.Open(t.Context(), sqlite.Config{MaxPages: -1, Readers: -1})
	if err == nil {
		t.Fatal("opened")
	}
	for _, field := range []string{"Dir", "MaxPages", "Readers"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error %q does not name %s", err, field)
		}
	}
}

func TestDirectoryMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%41&_pragma=x ä")
	store := openIn(t, dir)
	insert(t, store, "", 1)
	if _, err := os.Stat(filepath.Join(dir, "singularity.db")); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if page, err := openIn(t, dir).Runs(t.Context(), workflow.Filter{}); err != nil || len(page.Runs) != 1 {
		t.Errorf("%d runs after opening it again, %v; want 1", len(page.Runs), err)
	}
}

func TestDirectoryMayBeRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	insert(t, openIn(t, "data"), "", 1)
	if _, err := os.Stat(filepath.Join("data", "singularity.db")); err != nil {
		t.Error(err)
	}
}

func TestDatabaseIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	store := openIn(t, t.TempDir())
	insert(t, store, "", 1)
	files, err := filepath.Glob(filepath.Join(store.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if others := info.Mode().Perm() & 0o077; others != 0 {
			t.Errorf("%s has mode %s", filepath.Base(file), info.Mode())
		}
	}
}

// insert commits runs, owned by boot if there is one.
func insert(t testing.TB, store persistence.Store, boot persistence.BootID, count int) []workflow.RunID {
	t.Helper()
	var batch []persistence.Write
	var ids []workflow.RunID
	for range count {
		id := workflow.NewRunID()
		ids = append(ids, id)
		batch = append(batch, persistence.Insert{
			Run: id, Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: []byte(`{}`), Owner: boot,
		})
	}
	if _, err := store.Commit(t.Context(), batch); err != nil {
		t.Fatalf("insert %d runs: %v", count, err)
	}
	return ids
}

// query renders the rows of a query, separated by semicolons.
func query(t testing.TB, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, value := range values {
			line = append(line, value.String)
		}
		lines = append(lines, strings.Join(line, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "; ")
}
