package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

const (
	insertsRuns = "INSERT INTO singularity.workflow_runs"
	advancesRun = "WITH moved AS"
)

var kinds = []kind{
	{name: "start", mark: insertsRuns},
	{name: "claim", mark: "SKIP LOCKED"},
	{name: "checkpoint", mark: advancesRun, without: `"receipt"`},
	{name: "completion", mark: advancesRun, also: `"receipt"`},
	{name: "transactional step", explicit: true, mark: advancesRun},
	{name: "start in a caller's transaction", explicit: true, mark: insertsRuns},
}

// TestConnectionsCutAroundTheCommitLeaveTheTruth cuts one connection after the
// other, as its transaction ends, under load.
func TestConnectionsCutAroundTheCommitLeaveTheTruth(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "cut around the commit")
	if _, err := c.audit.pool.Exec(t.Context(), tablesOfCuts); err != nil {
		t.Fatal(err)
	}
	cutter := newCutter(t, c.server.Addr())
	url := c.server.URLVia(cutter.address(), testpostgres.Database)
	flow := c.loadFlow(c.effectfulWith("second", pay).Transactional())
	engine := c.openEngine(singularity.Config{DatabaseURL: url, Queues: map[string]int{"default": 4, "orders": 4}}, flow)
	c.begin()
	clients := c.startClients(engine, flow, url)
	for i := range often(42, 1000) {
		c.cutOne(cutter, kinds[i%len(kinds)], i/len(kinds))
	}
	for _, kind := range kinds { // of which each is to be cut at each moment
		for round, at := range moments {
			for range often(10, 0) {
				if c.verdict.Counts[cutName(kind, at)] == 0 {
					c.cutOne(cutter, kind, round)
				}
			}
			if c.verdict.Counts[cutName(kind, at)] == 0 {
				c.invalidly("no %s was cut %s", kind.name, at)
			}
		}
	}
	clients.stop()
	c.settleEngine(engine, invariantsOfCuts...)
	c.conclude()
}

// moments are those at which each kind is cut, in turns.
var moments = []moment{beforeEnd, afterCommit, lateEnd}

// cutOne waits until a transaction of a kind was cut, and notes it if it was as
// it should be.
func (c *cluster) cutOne(cutter *cutter, kind kind, round int) {
	c.t.Helper()
	at, stall := moments[round%len(moments)], 100*time.Millisecond
	switch {
	case *full && round == 50 && kind.name != "start in a caller's transaction": // whose patience is the caller's
		at = silence
	case round%10 == 5 && (*full || kind.name == "start"):
		stall = 1500 * time.Millisecond // longer than anybody waits for a lock
	}
	cut := cutter.arm(kind, at, stall)
	select {
	case <-cut.done:
	case <-time.After(patience):
		c.t.Fatalf("in %s there was no %s to be cut", patience, kind.name)
	}
	c.verdict.Faults++
	if cut.committed == (at != beforeEnd) {
		c.verdict.Counts[cutName(kind, at)]++
	} else {
		c.verdict.Counts["cut_when_it_failed_anyway"]++
	}
}

func cutName(kind kind, at moment) string { return fmt.Sprintf("%s, cut %s", kind.name, at) }

// What callers and transactional steps write beside the runs.
const tablesOfCuts = `
CREATE TABLE soak.orders (run uuid NOT NULL);
CREATE TABLE soak.payments (run uuid NOT NULL);`

var invariantsOfCuts = []invariant{
	{"a run is there if the transaction that started it is", `
SELECT coalesce(run.id, placed.run)::text, CASE WHEN run.id IS NULL THEN 'is not there' ELSE 'has no order' END
FROM soak.orders AS placed
FULL JOIN (SELECT id FROM singularity.workflow_runs WHERE queue = 'orders') AS run ON run.id = placed.run
WHERE run.id IS NULL OR placed.run IS NULL`},

	{"a transactional step is paid once", `
SELECT run.id::text, 'was paid ' || count(payment.run) || ' times'
FROM singularity.workflow_runs AS run
LEFT JOIN soak.payments AS payment ON payment.run = run.id
GROUP BY run.id
HAVING count(payment.run) <> 1`},

	endsOnce,

	{"a key has one run", `
SELECT min(id::text), 'shares key ' || key || ' with ' || count(*) - 1 || ' more'
FROM singularity.workflow_runs
WHERE key IS NOT NULL
GROUP BY key
HAVING count(*) > 1`},
}

// pay is the part of a transactional step that must not happen twice.
func pay(ctx context.Context, _ *order) error {
	tx, ok := postgres.Tx(ctx)
	if !ok {
		return workflow.Permanent(errors.New("the step has no transaction"))
	}
	_, err := tx.Exec(ctx, `INSERT INTO soak.payments VALUES ($1)`, [16]byte(workflow.FromContext(ctx).Run))
	return err
}

// clients start runs in all ways, one after the other, and note what they are
// told.
type clients struct {
	cluster *cluster
	engine  *engine
	flow    *workflow.Workflow[order, receipt]
	pool    *pgxpool.Pool
	stopped chan struct{}
	working sync.WaitGroup
}

func (c *cluster) startClients(engine *engine, flow *workflow.Workflow[order, receipt], url string) *clients {
	c.t.Helper()
	pool, err := pgxpool.New(c.t.Context(), url)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(pool.Close)
	all := &clients{cluster: c, engine: engine, flow: flow, pool: pool, stopped: make(chan struct{})}
	for range 2 {
		all.repeat(all.startPlainly)
		all.repeat(all.startWithKey)
		all.repeat(all.startInTransaction)
	}
	return all
}

// repeat has a client of its own start runs and wait for them.
func (s *clients) repeat(start func(context.Context, workflow.RunID) error) {
	s.working.Go(func() {
		for {
			select {
			case <-s.stopped:
				return
			case <-s.cluster.t.Context().Done():
				return
			default:
			}
			s.one(start)
		}
	})
}

func (s *clients) stop() {
	close(s.stopped)
	s.working.Wait()
}

func (s *clients) one(start func(context.Context, workflow.RunID) error) {
	ctx, cancel := bounded(s.cluster.t)
	defer cancel()
	id := workflow.NewRunID()
	s.cluster.starts.note(id, unknown)
	switch err := start(ctx, id); {
	case err == nil:
		s.cluster.starts.note(id, acknowledged)
		if run, err := s.flow.Handle(ctx, s.engine, id); err == nil { // else it ends all the same
			_, _ = run.Wait(ctx)
		}
	case !errors.Is(err, workflow.ErrOutcomeUnknown):
		s.cluster.starts.note(id, refused)
	}
}

// startPlainly goes on until it knows.
func (s *clients) startPlainly(ctx context.Context, id workflow.RunID) error {
	for {
		_, err := s.flow.StartWith(ctx, s.engine, order{"plain"}, workflow.Options{ID: id})
		if !errors.Is(err, workflow.ErrOutcomeUnknown) || ctx.Err() != nil {
			return err
		}
	}
}

// startWithKey leaves it at the first answer.
func (s *clients) startWithKey(ctx context.Context, id workflow.RunID) error {
	_, err := s.flow.StartWith(ctx, s.engine, order{"keyed"}, workflow.Options{ID: id, Key: id.String()})
	return err
}

// startInTransaction places an order with the run.
func (s *clients) startInTransaction(ctx context.Context, id workflow.RunID) error {
	ended := false
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO soak.orders VALUES ($1)`, [16]byte(id)); err != nil {
			return err
		}
		_, err := s.flow.StartWith(ctx, s.engine.InTx(tx), order{"ordered"}, workflow.Options{ID: id, Queue: "orders"})
		ended = err == nil
		return err
	})
	if err != nil && ended {
		return fmt.Errorf("%w: %w", workflow.ErrOutcomeUnknown, err)
	}
	return err
}
