package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/persistence/storetest"
	"singularity/workflow"
)

// opened is a store that knows where it is.
type opened struct {
	*postgres.Store
	url string
}

func open(t testing.TB) *opened {
	t.Helper()
	return openAt(t, postgres.Config{URL: testpostgres.URL(t), LeaseTerm: longTerm})
}

// longTerm outlasts tests that renew no lease.
const longTerm = time.Hour

func openAt(t testing.TB, cfg postgres.Config) *opened {
	t.Helper()
	store, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &opened{store, cfg.URL}
}

// outside is a connection to the store's database as an operator has it.
func (o *opened) outside(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), o.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), `SET search_path = singularity`); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Config{
		Open:      func(t testing.TB) persistence.Store { return open(t) },
		Declare:   declare,
		JobResult: jobResult,
	})
}

func TestStoreBehindAPooler(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Config{
		Open: func(t testing.TB) persistence.Store {
			direct := testpostgres.URL(t)
			return openAt(t, postgres.Config{URL: testpostgres.Pooler(t, direct), SessionURL: direct, LeaseTerm: longTerm})
		},
		Declare:   declare,
		JobResult: jobResult,
	})
}

// lapse ends the lease of a boot, as if it had not been renewed.
const lapse = `UPDATE singularity.node_leases SET lease_until = clock_timestamp() - interval '1 second' WHERE boot = $1`

// declare lets the lease of a boot lapse first.
func declare(t testing.TB, store persistence.Store, judge persistence.BootID, charge persistence.Charge) {
	t.Helper()
	o := store.(*opened)
	conn, err := pgx.Connect(t.Context(), o.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), lapse, pgx.QueryExecModeExec, string(charge.Boot)); err != nil {
		t.Fatal(err)
	}
	if ended, err := o.Declare(t.Context(), judge, charge); err != nil || !ended {
		t.Fatalf("declare: %v, %v", ended, err)
	}
}

// jobResult reads job_results by the names that operators use.
func jobResult(ctx context.Context, store persistence.Store, id workflow.RunID) (storetest.JobResult, bool, error) {
	const query = `
		SELECT instance_id, job_type, success, coalesce(error_reason, ''), coalesce(error_class, ''), duration_ms,
			cost_cents, coalesce(model_used, ''), coalesce(tokens_used, 0), patterns_discovered,
			replace(insights::text, ' ', ''), replace(input_summary::text, ' ', ''), replace(result_summary::text, ' ', '')
		FROM singularity.job_results WHERE job_id = $1::uuid`
	result := storetest.JobResult{Run: id}
	config, err := pgx.ParseConfig(store.(*opened).url)
	if err != nil {
		return result, false, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // a pooler's connection has had others
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return result, false, err
	}
	defer conn.Close(ctx)
	var millis int64
	summary := &result.Summary
	err = conn.QueryRow(ctx, query, id.String()).Scan(
		&result.Instance, &result.JobType, &result.Success, &result.ErrorReason, &summary.ErrorClass, &millis,
		&summary.CostCents, &summary.Model, &summary.Tokens, &summary.Patterns,
		(*[]byte)(&summary.Insights), (*[]byte)(&summary.Input), (*[]byte)(&summary.Result))
	if errors.Is(err, pgx.ErrNoRows) {
		return result, false, nil
	}
	result.Duration = time.Duration(millis) * time.Millisecond
	return result, err == nil, err
}

func TestOperatorsQueriesReadAsTheyKnowThem(t *testing.T) {
	t.Parallel()
	store := open(t)
	owned(t, store, 3)
	land(t, store, draft(), draft())
	gone := persistence.Boot{ID: "b-0", Instance: "worker-0"}
	if err := store.Join(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if err := store.Leave(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	conn := store.outside(t)
	for _, q := range []struct{ query, want string }{
		{`SELECT reserved_by = (SELECT instance_id FROM instance_registry WHERE status = 'online'), count(*) FROM jobs WHERE state = 'executing' GROUP BY reserved_by`, "true 3"},
		{`SELECT instance_id = 'worker-0', status, load, EXTRACT(EPOCH FROM (now() - last_heartbeat)) < 60 FROM instance_registry ORDER BY last_heartbeat DESC`,
			"true offline 0 true; false online 0 true"},
		{`SELECT state, count(*) FROM jobs WHERE queue = 'default' GROUP BY state ORDER BY state`, "available 2; executing 3"},
		{`SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`, "0"},
	} {
		if got := rendered(t, conn, q.query); got != q.want {
			t.Errorf("%s\ngives %q, want %q", q.query, got, q.want)
		}
	}
}

// rendered are the rows of a query, separated by semicolons.
func rendered(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return strings.TrimSuffix(fmt.Sprintln(values...), "\n"), err
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return strings.Join(lines, "; ")
}

func TestCallsAfterCloseFail(t *testing.T) {
	t.Parallel()
	store := open(t)
	for range 2 {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	calls := map[string]func() error{
		"commit": func() error { _, err := store.Commit(t.Context(), []persistence.Write{draft()}); return err },
		"insert": func() error { _, err := store.InsertAll(t.Context(), []persistence.Insert{draft()}); return err },
		"runs":   func() error { _, err := store.Runs(t.Context(), workflow.Filter{}); return err },
		"join":   func() error { return store.Join(t.Context(), persistence.Boot{ID: "b"}) },
		"begin":  func() error { _, _, err := store.Begin(t.Context()); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("%s: %v, want %v", name, err, workflow.ErrUnavailable)
		}
	}
}

func TestOpenNamesEveryMistakeInItsConfig(t *testing.T) {
	t.Parallel()
	_, err := postgres.Open(t.Context(), postgres.Config{LeaseTerm: -1, Writers: -1, Readers: -1, Steps: -1})
	if err == nil {
		t.Fatal("opened")
	}
	for _, field := range []string{"URL", "LeaseTerm", "Writers", "Readers", "Steps"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error %q does not name %s", err, field)
		}
	}
}

func TestConnectionsCarryTheNameOfTheBoot(t *testing.T) {
	t.Parallel()
	store := open(t)
	land(t, store, draft()) // a connection from before
	boot := owned(t, store, 1)[0].Boot
	if _, err := store.Runs(t.Context(), workflow.Filter{}); err != nil {
		t.Fatal(err)
	}
	conn := store.outside(t)
	const others = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name `
	until(t, "the connections from before have ended beside the calls", func() bool {
		return rendered(t, conn, others+`<> 'singularity/`+string(boot)+`'`) == "0"
	})
	if got := rendered(t, conn, others+`= 'singularity/`+string(boot)+`'`); got == "0" {
		t.Error("no connection carries the boot's name")
	}
}
