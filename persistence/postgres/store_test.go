package postgres_test

import (
	"context"
	"errors"
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
		JobResult: jobResult,
	})
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
