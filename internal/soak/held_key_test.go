package soak

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity"
	"singularity/persistence"
	"singularity/workflow"
)

const (
	// lockPatience is the most that a checkpoint waits behind anything: it is how
	// long a statement waits for a lock.
	lockPatience = time.Second
	// keyPatience is how soon a start is answered whose key is held: after two
	// tries, each of which waits for the lock.
	keyPatience = 5 * time.Second
)

// TestKeyHeldByACallersTransactionDelaysNobodyElse has a caller's transaction
// stay open that has started a run with a key.
func TestKeyHeldByACallersTransactionDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "held key")
	gaps := &gaps{since: map[string]time.Time{}}
	flow := workflow.Define("load", accept, conclude,
		c.effectfulWith("first", gaps.step), c.effectfulWith("second", gaps.step), c.effectfulWith("third", gaps.step))
	engine := c.openEngine(singularity.Config{DatabaseURL: c.url, Queues: map[string]int{"default": 32}}, flow)
	c.begin()
	load := c.startHeldLoad(engine, flow)
	lasts := time.Duration(often(2, 60)) * time.Second

	pass(t, lasts)
	control := percentilesOf(gaps.take())
	for key, end := range map[string]func(pgx.Tx, context.Context) error{"committed": pgx.Tx.Commit, "rolled back": pgx.Tx.Rollback} {
		c.holdKey(engine, flow, key, lasts, end)
	}
	held := percentilesOf(gaps.take())
	load.stop()

	c.verdict.Times["checkpoint"], c.verdict.Times["checkpoint_while_a_key_is_held"] = control, held
	c.verdict.Times["start_with_another_key_while_one_is_held"] = percentilesOf(load.keyed)
	if *full && held.P99 > 3*control.P99+milliseconds(50*time.Millisecond) {
		c.brokenly("with a key held, checkpoints take %.1f ms (p99); without, %.1f ms", held.P99, control.P99)
	}
	if *full && held.Max >= milliseconds(lockPatience) {
		c.brokenly("a checkpoint took %.0f ms while a key was held, as if it had waited for the lock", held.Max)
	}
	if c.verdict.Counts["starts_answered_while_their_key_is_held"] == 0 {
		c.invalidly("no start met the held key")
	}
	c.settleEngine(engine, invariant{"a key has one run", `
SELECT min(id::text), 'shares key ' || key || ' with ' || count(*) - 1 || ' more'
FROM singularity.workflow_runs
WHERE key IS NOT NULL
GROUP BY key
HAVING count(*) > 1`})
	c.conclude()
}

// holdKey keeps a key in an open transaction, and checks what others are told
// who start with it, in the meantime and afterwards.
func (c *cluster) holdKey(engine *engine, flow *workflow.Workflow[order, receipt], key string, lasts time.Duration, end func(pgx.Tx, context.Context) error) {
	c.t.Helper()
	ctx := c.t.Context()
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	holder, err := flow.StartWith(ctx, engine.InTx(tx), order{key}, workflow.Options{Key: key})
	if err != nil {
		c.t.Fatal(err)
	}
	c.verdict.Faults++
	answered := make(chan struct{}) // a start, while the key is held
	answer := sync.OnceFunc(func() { close(answered) })
	var ending sync.WaitGroup
	ending.Go(func() {
		<-time.After(lasts)
		select {
		case <-answered:
		case <-time.After(patience):
		}
		if err := end(tx, ctx); err != nil {
			c.t.Errorf("end the transaction: %v", err)
		}
	})
	defer ending.Wait()
	for began := time.Now(); ; {
		asked := time.Now()
		run, err := flow.StartWith(ctx, engine, order{key}, workflow.Options{Key: key})
		if took := time.Since(asked); took > inFull(keyPatience) {
			c.brokenly("a start whose key is held was answered after %s", took)
		}
		switch {
		case errors.Is(err, workflow.ErrUnavailable) && time.Since(began) < lasts+2*patience:
			answer()
			c.verdict.Counts["starts_answered_while_their_key_is_held"]++
			if !errors.Is(err, persistence.ErrContended) || !strings.Contains(err.Error(), "open transaction") {
				c.brokenly("a start whose key is held is told %q, not that a transaction holds it", err)
			}
		case err != nil:
			c.t.Fatalf("start with the key that was %s: %v", key, err)
		default:
			c.told(run.ID())
			if attached := run.ID() == holder.ID(); attached != (key == "committed") {
				c.brokenly("the start after the transaction was %s found the transaction's run: %t", key, attached)
			}
			return
		}
	}
}

// gaps are the times from the end of one step of a run to the beginning of the
// next: what a checkpoint takes.
type gaps struct {
	mu    sync.Mutex
	since map[string]time.Time // the last step of a run ended
	took  []time.Duration
}

// step is the body of each step.
func (g *gaps) step(ctx context.Context, _ *order) error {
	run := workflow.FromContext(ctx).Run.String()
	g.mu.Lock()
	defer g.mu.Unlock()
	if last, ok := g.since[run]; ok {
		g.took = append(g.took, time.Since(last))
	}
	g.since[run] = time.Now()
	return nil
}

// take returns the gaps since the last call.
func (g *gaps) take() []time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	took := g.took
	g.took = nil
	return took
}

// heldLoad is the load beside a held key.
type heldLoad struct {
	stop  func()
	keyed []time.Duration // that starts with a key took; to be read after stop
}

func (c *cluster) startHeldLoad(engine *engine, flow *workflow.Workflow[order, receipt]) *heldLoad {
	load := &heldLoad{}
	stopped := make(chan struct{})
	var working sync.WaitGroup
	client := func(one func(context.Context) error) {
		working.Go(func() {
			for {
				select {
				case <-stopped:
					return
				default:
				}
				ctx, cancel := bounded(c.t)
				if err := one(ctx); err != nil {
					c.t.Error(err)
				}
				cancel()
			}
		})
	}
	for range 4 {
		client(func(ctx context.Context) error {
			run, err := flow.Start(ctx, engine, order{"free"})
			if err == nil {
				c.told(run.ID())
				_, err = run.Wait(ctx)
			}
			return err
		})
	}
	client(func(ctx context.Context) error {
		asked := time.Now()
		run, err := flow.StartWith(ctx, engine, order{"free"}, workflow.Options{Key: workflow.NewRunID().String()})
		load.keyed = append(load.keyed, time.Since(asked))
		if err == nil {
			c.told(run.ID())
			_, err = run.Wait(ctx)
		}
		return err
	})
	load.stop = func() {
		close(stopped)
		working.Wait()
	}
	return load
}
