package singularity_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

func TestMain(m *testing.M) { testpostgres.Main(m, postgres.MigrateUp) }

// shop is a database with an engine on it, and a table of the user's own.
type shop struct {
	engine *singularity.Engine
	conn   *pgx.Conn
}

func openShop(t *testing.T, definitions ...workflow.Definition) *shop {
	t.Helper()
	url := testpostgres.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), `CREATE TABLE orders (item text PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	return &shop{open(t, singularity.Config{DatabaseURL: url}, definitions...), conn}
}

func (s *shop) orders(t *testing.T) []string {
	t.Helper()
	rows, err := s.conn.Query(t.Context(), `SELECT item FROM orders ORDER BY item`)
	if err != nil {
		t.Fatal(err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func (s *shop) begin(t *testing.T) pgx.Tx {
	t.Helper()
	tx, err := s.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func TestRunsStartedInATransactionBeginWithItsCommit(t *testing.T) {
	t.Parallel()
	flow := workflow.New("flow", note("one"))
	shop := openShop(t, flow)

	tx := shop.begin(t)
	abandoned, err := flow.Start(t.Context(), shop.engine.InTx(tx), tally{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := shop.engine.Run(t.Context(), abandoned.ID()); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("the run of a transaction that was rolled back: %v", err)
	}

	// The sweeps alone, which slow down to 5s, would be slower.
	within(t, 2*time.Second, func() time.Duration { return takenUp(t, shop, flow) })
}

// takenUp starts a run in a transaction and returns how long after the commit it
// has ended.
func takenUp(t *testing.T, shop *shop, flow *workflow.Workflow[tally, tally]) time.Duration {
	t.Helper()
	tx := shop.begin(t)
	if _, err := tx.Exec(t.Context(), `INSERT INTO orders VALUES ($1)`, workflow.NewRunID().String()); err != nil {
		t.Fatal(err)
	}
	run, err := flow.Start(t.Context(), shop.engine.InTx(tx), tally{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.engine.Run(t.Context(), run.ID()); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("the run is there before the commit: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	committed := time.Now()
	if out := wait(t, shop.engine, run); !slices.Equal(out.Steps, []string{"one"}) {
		t.Errorf("got %+v", out)
	}
	return time.Since(committed)
}

func TestStartInATransactionFindsTheRunWithItsKey(t *testing.T) {
	t.Parallel()
	flow := workflow.New("flow", note("one")).Key(func(tally) string { return "k" })
	shop := openShop(t, flow)
	first, err := flow.Start(t.Context(), shop.engine, tally{})
	if err != nil {
		t.Fatal(err)
	}
	tx := shop.begin(t)
	defer func() { _ = tx.Rollback(t.Context()) }()
	second, err := flow.Start(t.Context(), shop.engine.InTx(tx), tally{})
	if err != nil || second.ID() != first.ID() {
		t.Errorf("the second start found run %v, %v; want %s", second, err, first.ID())
	}
	if _, err := flow.Start(t.Context(), shop.engine.InTx(tx), tally{Steps: []string{"other input"}}); !errors.As(err, new(*workflow.KeyConflictError)) {
		t.Errorf("a start with the key and another input: %v", err)
	}
}

func TestTransactionsNeedPostgres(t *testing.T) {
	t.Parallel()
	flow := workflow.New("flow", note("one"))
	engine := open(t, singularity.Config{}, flow)
	if _, err := flow.Start(t.Context(), engine.InTx(nil), tally{}); err == nil {
		t.Error("a start in a transaction on a store in memory is accepted")
	}
}

func TestRowsOfATransactionalStepCommitWithItsCheckpoint(t *testing.T) {
	t.Parallel()
	attempts := 0
	flow := workflow.New("flow",
		note("before"),
		workflow.Do("order", func(ctx context.Context, s *tally) error {
			attempts++
			tx, ok := postgres.Tx(ctx)
			if !ok {
				return workflow.Permanent(errors.New("no transaction"))
			}
			s.Steps = append(s.Steps, "order")
			// The key would refuse what a failed attempt had left.
			if _, err := tx.Exec(ctx, `INSERT INTO orders VALUES ('tea')`); err != nil {
				return err
			}
			if attempts == 1 {
				return errors.New("the till is closed")
			}
			return nil
		}).Transactional().Retry(workflow.Retry{Delays: []time.Duration{time.Millisecond}}),
		note("after"),
	)
	shop := openShop(t, flow)
	run, err := flow.Start(t.Context(), shop.engine, tally{})
	if err != nil {
		t.Fatal(err)
	}
	if out := wait(t, shop.engine, run); !slices.Equal(out.Steps, []string{"before", "order", "after"}) {
		t.Errorf("got %+v", out)
	}
	if got := shop.orders(t); !slices.Equal(got, []string{"tea"}) {
		t.Errorf("orders are %v", got)
	}
	steps, err := shop.engine.Steps(t.Context(), run.ID())
	if err != nil || len(steps) != 4 || steps[1].Outcome != workflow.StepFailed || steps[2].Outcome != workflow.StepCompleted {
		t.Errorf("the history is %+v, %v", steps, err)
	}
}

func TestSecondEngineWithALabelInUseIsRefused(t *testing.T) {
	t.Parallel()
	url := testpostgres.URL(t)
	open(t, singularity.Config{DatabaseURL: url, Instance: "till-1"})
	_, err := singularity.Open(t.Context(), singularity.Config{DatabaseURL: url, Instance: "till-1", Logger: quiet})
	if !errors.Is(err, persistence.ErrInstanceTaken) {
		t.Errorf("a second engine answered %v", err)
	}
}
