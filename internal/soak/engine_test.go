package soak

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"singularity"
	"singularity/workflow"
)

// engine is a node in the process of the tests, for faults that no other
// process has to see.
type engine struct {
	*singularity.Engine
	t     testing.TB
	log   *log
	close func()
}

// closePatience is for the end of an engine.
const closePatience = 30 * time.Second

// openEngine adds an engine to a scenario without nodes. It has the scenario's
// workflows, unless it is given others.
func (c *cluster) openEngine(cfg singularity.Config, definitions ...workflow.Definition) *engine {
	c.t.Helper()
	e := &engine{t: c.t, log: &log{}}
	cfg.Logger = slog.New(slog.NewTextHandler(e.log, nil))
	opened, err := singularity.Open(c.t.Context(), cfg, definitions...)
	if err != nil {
		c.t.Fatal(err)
	}
	e.Engine = opened
	e.close = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		defer cancel()
		if err := opened.Close(ctx); err != nil {
			c.t.Errorf("close the engine: %v", err)
		}
		if c.t.Failed() {
			c.t.Logf("the engine logged at last:\n%s", e.log)
		}
	})
	c.t.Cleanup(e.close)
	return e
}

// order and receipt are what runs of an engine begin and end with.
type (
	order struct {
		Note string `json:"note"`
	}
	receipt struct {
		Receipt string `json:"receipt"`
	}
)

func accept(o order) (order, error) { return o, nil }

func conclude(o *order) receipt { return receipt{o.Note} }

// loadFlow is the workflow load, with its effects noted in this process. Its
// second step may have more to do.
func (c *cluster) loadFlow(second workflow.Step[order]) *workflow.Workflow[order, receipt] {
	return workflow.Define("load", accept, conclude, c.effectful("first"), second, c.effectful("third"))
}

// effectful is a step that has an effect, and nothing else.
func (c *cluster) effectful(name string) workflow.Step[order] { return c.effectfulWith(name, nil) }

// effectfulWith is a step that has an effect, and goes on with what it is given.
func (c *cluster) effectfulWith(name string, do func(context.Context, *order) error) workflow.Step[order] {
	return workflow.Do(name, func(ctx context.Context, o *order) error {
		if err := c.affect(ctx); err != nil || do == nil {
			return err
		}
		return do(ctx, o)
	}).Retry(workflow.Retry{Attempts: 1000, Delays: []time.Duration{50 * time.Millisecond}}).Timeout(time.Minute)
}

// affect has the effect of an attempt, which may be held back.
func (c *cluster) affect(ctx context.Context) error {
	attempt := workflow.FromContext(ctx)
	held := c.ledger.note(Effect{
		Key: workflow.Key(ctx), Run: attempt.Run.String(), Step: attempt.Name, Attempt: attempt.Number,
		Epoch: attempt.Epoch, PID: os.Getpid(), At: time.Now(),
	})
	if held == nil {
		return nil
	}
	select {
	case <-held.released:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settleEngine waits until nothing is left to do, ends the engine and looks for
// breaches of the usual invariants and of more.
func (c *cluster) settleEngine(e *engine, more ...invariant) {
	c.t.Helper()
	c.awaitQuiet()
	c.verdict.CPU = c.cpu.share(readCPU())
	e.close()
	c.searchBreaches(more...)
	c.count()
	c.expectNobodyDead()
}

// awaitReady waits until the engine takes and runs work.
func (e *engine) awaitReady() {
	e.t.Helper()
	await(e.t, func(ctx context.Context) (string, error) { return "", e.Ready(ctx) })
}

// awaitUnready waits until the engine says why it does not.
func (e *engine) awaitUnready() (reason error) {
	e.t.Helper()
	await(e.t, func(ctx context.Context) (string, error) {
		if reason = e.Ready(ctx); reason == nil {
			return "the engine says that it is ready", nil
		}
		return "", nil
	})
	return reason
}
