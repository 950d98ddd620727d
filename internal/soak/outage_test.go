package soak

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity"
	"singularity/workflow"
)

// inFlight is how many runs have a step in flight when the database goes away.
const inFlight = 50

// TestOutageIsToldAndLosesNothing takes the database from an engine that has
// steps in flight, for longer than its lease.
func TestOutageIsToldAndLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "outage of an engine's database")
	flow := c.loadFlow(c.effectful("second"))
	engine := c.openEngine(singularity.Config{DatabaseURL: c.url, Queues: map[string]int{"default": inFlight}}, flow)
	c.begin()
	var recoveries []time.Duration
	for range often(1, 10) {
		recoveries = append(recoveries, c.suffer(engine, flow))
	}
	c.verdict.Times["database_back_to_ready"] = percentilesOf(recoveries)
	c.settleEngine(engine)
	c.conclude()
}

// suffer is one outage. It returns how long after it the engine took work again.
func (c *cluster) suffer(engine *engine, flow *workflow.Workflow[order, receipt]) time.Duration {
	c.t.Helper()
	hold := c.ledger.holdBack(func(e Effect) bool { return e.Step == "first" })
	for range inFlight {
		run, err := flow.Start(c.t.Context(), engine, order{"in flight"})
		if err != nil {
			c.t.Fatal(err)
		}
		c.told(run.ID())
	}
	hold.await(c.t, "steps in flight", inFlight)
	c.server.Stop(c.t)
	stopped := time.Now()
	c.verdict.Faults++
	hold.release() // what they did is to be stored while nothing can be
	clients := c.startDuringOutage(engine, flow)
	reason := engine.awaitUnready()
	if !errors.Is(reason, workflow.ErrUnavailable) && !errors.Is(reason, workflow.ErrOutcomeUnknown) {
		c.brokenly("without its database the engine is not ready because of %v", reason)
	}
	pass(c.t, time.Until(stopped.Add(lastingOutage)))
	clients.stop()
	if reason := engine.Ready(c.t.Context()); reason == nil {
		c.brokenly("the engine says that it is ready %s after its database went away", lastingOutage)
	}
	c.server.Start(c.t)
	back := time.Now()
	engine.awaitReady()
	recovery := time.Since(back)
	c.awaitQuiet()
	return recovery
}

// outageClients start runs that cannot be stored, and note what they are told.
type outageClients struct{ stop func() }

func (c *cluster) startDuringOutage(engine *engine, flow *workflow.Workflow[order, receipt]) outageClients {
	ctx, cancel := context.WithCancel(c.t.Context())
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			again := time.NewTicker(lookEvery)
			defer again.Stop()
			for {
				select {
				case <-again.C:
					c.startWithoutDatabase(engine, flow)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return outageClients{func() {
		cancel()
		working.Wait()
	}}
}

func (c *cluster) startWithoutDatabase(engine *engine, flow *workflow.Workflow[order, receipt]) {
	ctx, cancel := bounded(c.t)
	defer cancel()
	id := workflow.NewRunID()
	_, err := flow.StartWith(ctx, engine, order{"too early"}, workflow.Options{ID: id})
	switch {
	case err == nil:
		c.t.Errorf("run %s was started without a database", id)
	case errors.Is(err, workflow.ErrOutcomeUnknown):
		c.starts.note(id, unknown)
	case errors.Is(err, workflow.ErrUnavailable):
		c.starts.note(id, refused)
	default:
		c.t.Errorf("a start without a database was answered with %v", err)
	}
}

// TestConnectionsOfOthersStopAnEngineAndNoLonger has other programs take all
// connections that the server has.
func TestConnectionsOfOthersStopAnEngineAndNoLonger(t *testing.T) {
	t.Parallel()
	small := usualServer()
	small.Settings["max_connections"] = "20"
	c := newClusterOn(t, "connections taken by others", small)
	flow := c.loadFlow(c.effectful("second"))
	c.begin()
	for range often(1, 10) {
		engine := c.openEngine(singularity.Config{DatabaseURL: c.url}, flow)
		free := c.takeConnections()
		id := workflow.NewRunID()
		_, err := flow.StartWith(t.Context(), engine, order{"crowded"}, workflow.Options{ID: id})
		c.verdict.Faults++
		if !errors.Is(err, workflow.ErrUnavailable) || !strings.Contains(err.Error(), "max_connections") {
			c.brokenly("a start without a free connection was answered with %v", err)
		}
		c.starts.note(id, refused)
		if reason := engine.Ready(t.Context()); reason == nil || !strings.Contains(reason.Error(), "max_connections") {
			c.brokenly("without a free connection the engine's readiness is %v", reason)
		}
		if other, err := singularity.Open(t.Context(), singularity.Config{DatabaseURL: c.url}); err == nil {
			_ = other.Close(t.Context())
			c.invalidly("there was a connection left for another engine")
		} else if !errors.Is(err, workflow.ErrUnavailable) || !strings.Contains(err.Error(), "max_connections") {
			c.brokenly("an engine without a free connection was refused with %v", err)
		}
		free()
		run, err := flow.Start(t.Context(), engine, order{"roomy"})
		if err != nil {
			c.brokenly("with free connections again, a start was answered with %v", err)
		} else {
			c.told(run.ID())
		}
		engine.awaitReady()
		c.awaitQuiet()
		engine.close()
	}
	c.searchBreaches()
	c.count()
	c.expectNobodyDead()
	c.conclude()
}

// endWriters ends the connections of engines, but for those that they hold
// their leases by.
const endWriters = `
SELECT count(pg_terminate_backend(pid, 10000))
FROM pg_stat_activity
WHERE application_name LIKE 'singularity/%' AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')`

// takeConnections takes all that there are, until they are given back.
func (c *cluster) takeConnections() (giveBack func()) {
	c.t.Helper()
	taken := c.connectOften(nil)
	await(c.t, func(ctx context.Context) (string, error) {
		ended, err := one[int](ctx, c.audit, endWriters)
		taken = c.connectOften(taken)
		if err != nil || ended == 0 {
			return "", err
		}
		return fmt.Sprintf("%d connections of engines were left, who may have been quicker with the next", ended), nil
	})
	return func() {
		var sessions []uint32
		for _, conn := range taken {
			sessions = append(sessions, conn.PgConn().PID())
			_ = conn.Close(context.Background())
		}
		// The server takes a moment to notice.
		await(c.t, func(ctx context.Context) (missing string, err error) {
			left, err := one[int](ctx, c.audit, `SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1::bigint[])`, sessions)
			if left > 0 {
				missing = fmt.Sprintf("%d connections of %d are still there", left, len(taken))
			}
			return missing, err
		})
	}
}

// connectOften adds connections until there are no more.
func (c *cluster) connectOften(taken []*pgx.Conn) []*pgx.Conn {
	for {
		conn, err := pgx.Connect(c.t.Context(), c.url)
		if err != nil {
			return taken
		}
		taken = append(taken, conn)
	}
}
