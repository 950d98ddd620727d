package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// report is a workflow for the ends of batches, whose output is its input.
var report = workflow.New("report", workflow.Do("write", func(context.Context, *workflow.BatchEnd) error { return nil }))

// reports are the runs of report so far.
func reports(t testing.TB, node *Node) (ends []workflow.BatchEnd) {
	t.Helper()
	runs, err := node.Runs(t.Context(), workflow.Filter{Workflow: "report"})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs.Runs {
		var end workflow.BatchEnd
		if err := json.Unmarshal(read(t, node, run.ID).Input, &end); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	return ends
}

// wantReport checks that one run of report was started, and with what.
func wantReport(t testing.TB, node *Node, want workflow.BatchEnd) {
	t.Helper()
	if got := reports(t, node); len(got) != 1 || got[0] != want {
		t.Fatalf("reports %+v, want one: %+v", got, want)
	}
}

func startBatch[Out any](
	t testing.TB, node *Node, w *workflow.Workflow[count, Out], batch workflow.Batch, inputs []count,
) []*workflow.Handle[Out] {
	t.Helper()
	runs, err := w.StartBatch(t.Context(), node, batch, inputs, workflow.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// sealed is a batch of one page.
var sealed = workflow.Batch{ID: "b", OnEnd: "report", Last: true}

func TestBatchEndsOnceAllItsRunsHave(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		picky := workflow.New("picky", workflow.Do("pick", func(_ context.Context, s *count) error {
			if s.N == 1 {
				return workflow.Permanent(errors.New("not this one"))
			}
			return nil
		}))
		g := newGate(t, "gate")
		gated := workflow.New("gated", g.step())
		node := startNode(t, memory.New(), Config{}, picky, gated, report)
		startBatch(t, node, picky, workflow.Batch{ID: "b", OnEnd: "report"}, counts(3))
		cancelled := startBatch(t, node, gated, sealed, counts(1))[0]
		time.Sleep(time.Minute)
		if got := reports(t, node); len(got) > 0 {
			t.Fatalf("reports %+v, want none while a run goes on", got)
		}
		if _, err := node.Cancel(t.Context(), cancelled.ID(), "enough"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * batchesEvery)
		wantReport(t, node, workflow.BatchEnd{Batch: "b", Total: 4, Completed: 2, Failed: 1, Cancelled: 1})
	})
}

func TestBatchDoesNotEndBeforeItsLastPage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		one := workflow.New("one", add("one"))
		node := startNode(t, memory.New(), Config{}, one, report)
		for _, run := range startBatch(t, node, one, workflow.Batch{ID: "b", OnEnd: "report"}, counts(2)) {
			finish(t, run)
		}
		time.Sleep(time.Hour)
		if got := reports(t, node); len(got) > 0 {
			t.Fatalf("reports %+v, want none before the last page", got)
		}
		startBatch(t, node, one, sealed, nil)
		time.Sleep(2 * batchesEvery)
		wantReport(t, node, workflow.BatchEnd{Batch: "b", Total: 2, Completed: 2})
	})
}

func TestManyRunsOfABatchMakeFewLooks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", slow.step("slow", 10*time.Millisecond))
		c := startCluster(t, 1, flow, report)
		startBatch(t, c.nodes[0], flow, sealed, counts(1000)) // takes 5 s
		time.Sleep(10 * time.Second)
		wantReport(t, c.nodes[0], workflow.BatchEnd{Batch: "b", Total: 1000, Completed: 1000})
		if looks := c.links[0].count("ripe batches"); looks > 25 {
			t.Errorf("%d looks in 5 s, want one each %s", looks, batchesEvery)
		}
	})
}

func TestNodeWithoutBatchesAsksNothingOfThem(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		one := workflow.New("one", add("one"))
		c := startCluster(t, 1, one, report)
		asked := func() int {
			return c.links[0].count("open batches") + c.links[0].count("ripe batches") + c.links[0].count("end batch")
		}
		startBatch(t, c.nodes[0], one, sealed, counts(3))
		time.Sleep(2 * openBatchesEvery)
		wantReport(t, c.nodes[0], workflow.BatchEnd{Batch: "b", Total: 3, Completed: 3})
		before := asked()
		finish(t, start(t, c.nodes[0], one))
		time.Sleep(time.Hour)
		if got := asked() - before; got > 0 {
			t.Errorf("it asked %d times for batches, and there are none", got)
		}
	})
}

func TestBatchWhoseWorkflowDoesNotTakeItsEndIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		batch workflow.Batch
		field string
	}{
		"a workflow of another input": {workflow.Batch{ID: "b", OnEnd: "one", Last: true}, "on_end"},
		"an unknown workflow":         {workflow.Batch{ID: "b", OnEnd: "two"}, "on_end"},
		"an ephemeral workflow":       {workflow.Batch{ID: "b", OnEnd: "fleeting"}, "on_end"},
		"no id":                       {workflow.Batch{OnEnd: "report"}, "batch"},
		"an id that is no name":       {workflow.Batch{ID: "a b"}, "batch"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				one := workflow.New("one", add("one"))
				fleeting := workflow.New("fleeting", workflow.Do("write", func(context.Context, *workflow.BatchEnd) error { return nil })).
					Durability(workflow.Ephemeral)
				node := startNode(t, memory.New(), Config{}, one, fleeting, report)
				_, err := one.StartBatch(t.Context(), node, test.batch, counts(2), workflow.Options{})
				if refusal, _ := errors.AsType[*workflow.InputError](err); refusal == nil || refusal.Field != test.field {
					t.Errorf("got %v, want field %s refused", err, test.field)
				}
				if runs, err := node.Runs(t.Context(), workflow.Filter{}); err != nil || len(runs.Runs) > 0 {
					t.Errorf("%d runs were started (%v), want none", len(runs.Runs), err)
				}
			})
		})
	}
}

func TestNodeThatDiesBeforeItLooksLeavesTheBatchToOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		one := workflow.New("one", add("one"))
		c := startCluster(t, 2, one, report)
		dead := c.boot(0)
		id := startBatch(t, c.nodes[0], one, workflow.Batch{ID: "b", OnEnd: "report"}, counts(1))[0].ID()
		synctest.Wait()
		if got := c.links[1].count("open batches"); got != 1 {
			t.Fatalf("the other node has looked for batches %d times, want once, when it started", got)
		}
		// The last page lands, and the node dies before it looks.
		_, err := c.runs.InsertBatch(t.Context(), persistence.BatchPage{Batch: sealed}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.kill(0)
		wantState(t, c.nodes[1], id, workflow.Completed)
		c.nodes[1].Suspect(Suspicion{Boot: dead, By: "refused", Witness: true})
		synctest.Wait()
		wantReport(t, c.nodes[1], workflow.BatchEnd{Batch: "b", Total: 1, Completed: 1})
	})
}

func TestNodeThatDiesOverTheEndOfABatchLeavesItToOthers(t *testing.T) {
	t.Parallel()
	for _, fatal := range []string{"ripe batches", "end batch", "end batch answered"} {
		t.Run(fatal, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				one := workflow.New("one", add("one"))
				c := startCluster(t, 2, one, report)
				dead := c.boot(0)
				c.set(func() { c.links[0].fatal = fatal })
				startBatch(t, c.nodes[0], one, sealed, counts(3))
				time.Sleep(time.Second)
				if c.links[0].count(fatal) == 0 {
					t.Fatal("the node lives")
				}
				c.nodes[1].Suspect(Suspicion{Boot: dead, By: "refused", Witness: true})
				time.Sleep(time.Second)
				wantReport(t, c.nodes[1], workflow.BatchEnd{Batch: "b", Total: 3, Completed: 3})
				runs, err := c.nodes[1].Runs(t.Context(), workflow.Filter{Workflow: "report"})
				if err != nil || runs.Runs[0].State != workflow.Completed {
					t.Errorf("the callback is %s (%v), want it completed", runs.Runs[0].State, err)
				}
			})
		})
	}
}

// cutter is a store that fails around the end of a batch.
type cutter struct {
	*memory.Store
	mu     sync.Mutex
	before bool // it fails before, or else after
	fails  int  // how often
}

func (s *cutter) EndBatch(ctx context.Context, id string, callback persistence.Callback) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fails := s.fails > 0
	s.fails--
	if fails && s.before {
		return false, errDown
	}
	ended, err := s.Store.EndBatch(ctx, id, callback)
	if fails {
		return false, errors.Join(err, fmt.Errorf("%w: the connection broke", workflow.ErrOutcomeUnknown))
	}
	return ended, err
}

func TestBatchEndsOnceWhateverBecomesOfTheAnswer(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before is %t", before), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				one := workflow.New("one", add("one"))
				node := startNode(t, &cutter{Store: memory.New(), before: before, fails: 2}, Config{}, one, report)
				startBatch(t, node, one, sealed, counts(2))
				time.Sleep(5 * openBatchesEvery)
				wantReport(t, node, workflow.BatchEnd{Batch: "b", Total: 2, Completed: 2})
			})
		})
	}
}

func TestNodeThatStartsEndsTheBatchesThatWereLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		page := persistence.BatchPage{Batch: sealed, CallbackID: workflow.NewRunID()}
		if _, err := store.InsertBatch(t.Context(), page, nil); err != nil {
			t.Fatal(err)
		}
		node := startNode(t, store, Config{}, report)
		wantReport(t, node, workflow.BatchEnd{Batch: "b"})
		wantState(t, node, page.CallbackID, workflow.Completed)
	})
}

func TestNodesThatLookAtOnceStartOneCallback(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var slow visits
		flow := workflow.New("flow", slow.step("slow", time.Second))
		c := startCluster(t, 3, flow, report)
		startBatch(t, c.nodes[0], flow, sealed, counts(6)) // two on each node, which end at the same time
		for _, node := range c.nodes {
			node.tellDispatcher(lookNow{})
		}
		time.Sleep(time.Minute)
		if got := slow.count(); got != 6 {
			t.Fatalf("%d runs, want 6", got)
		}
		wantReport(t, c.nodes[1], workflow.BatchEnd{Batch: "b", Total: 6, Completed: 6})
	})
}

func TestBatchWaitsForAWorkflowThatTakesItsEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		page := persistence.BatchPage{Batch: sealed, CallbackID: workflow.NewRunID()}
		if _, err := store.InsertBatch(t.Context(), page, nil); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		node := startNode(t, store, Config{Logger: textLog(&log)})
		if !strings.Contains(log.String(), "a batch stays open") {
			t.Errorf("the log does not say why the batch stays open:\n%s", log.String())
		}
		if err := node.Register(report); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * batchesEvery)
		wantReport(t, node, workflow.BatchEnd{Batch: "b"})
	})
}
