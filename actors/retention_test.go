package actors

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// listed are the runs of a workflow, newest first, up to a thousand.
func listed(t testing.TB, node *Node, name string) []workflow.Run {
	t.Helper()
	page, err := node.Runs(t.Context(), workflow.Filter{Workflow: name, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Runs
}

func TestEndedRunsAreDeletedAfterTheirTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		failing := workflow.New("failing", workflow.Do("fail", func(context.Context, *count) error {
			return workflow.Permanent(errors.New("no"))
		}))
		store := memory.New()
		node := startNode(t, store, Config{}, counting, failing)
		const completed = 2*pruneAtOnce + 1
		for range completed {
			finish(t, start(t, node, counting))
		}
		fails(t, start(t, node, failing))
		time.Sleep(23 * time.Hour)
		if n := len(listed(t, node, "counting")); n != 1000 {
			t.Errorf("%d runs are left after 23h", n)
		}
		if runs := listed(t, node, persistence.RetentionWorkflow); len(runs) != 0 {
			t.Errorf("%d runs of retention before anything has expired", len(runs))
		}

		time.Sleep(2 * time.Hour)
		if n := len(listed(t, node, "counting")); n != 0 {
			t.Errorf("%d runs are left after a day", n)
		}
		if n := len(listed(t, node, "failing")); n != 1 {
			t.Errorf("%d failed runs are left after a day, want 1", n)
		}
		runs := listed(t, node, persistence.RetentionWorkflow)
		if len(runs) != 1 || runs[0].State != workflow.Completed || runs[0].Queue != "metrics" {
			t.Fatalf("runs of retention are %+v, want a completed one in queue metrics", runs)
		}
		var deleted persistence.Pruned
		if err := json.Unmarshal(read(t, node, runs[0].ID).Output, &deleted); err != nil || deleted.Runs != completed {
			t.Errorf("retention deleted %+v, %v; want %d runs", deleted, err, completed)
		}
		if turns := history(t, node, runs[0].ID); len(turns) != 3 {
			t.Errorf("retention went in steps %v, want three batches", turns)
		}
		if result, found := store.JobResult(runs[0].ID); found {
			t.Errorf("retention left the result %+v", result)
		}
		if pruned := node.Stats().Pruned; pruned != completed {
			t.Errorf("%d runs are counted as deleted, want %d", pruned, completed)
		}

		time.Sleep(7 * 24 * time.Hour)
		if n := len(listed(t, node, "failing")); n != 0 {
			t.Errorf("%d failed runs are left after eight days", n)
		}
		if later := listed(t, node, persistence.RetentionWorkflow); len(later) != 1 || later[0].ID == runs[0].ID {
			t.Errorf("runs of retention are %+v, want a later one only", later)
		}
	})
}

func TestQueuesKeepTheirRunsForTimesOfTheirOwn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		policy := persistence.RetentionPolicy{Queues: map[string]persistence.RetentionAges{"training": {Completed: time.Hour}}}
		node := startNode(t, memory.New(), Config{Retention: policy}, counting)
		usual := start(t, node, counting)
		finish(t, usual)
		finish(t, startWith(t, node, counting, workflow.Options{Queue: "training"}))
		time.Sleep(2 * time.Hour)
		if runs := listed(t, node, "counting"); len(runs) != 1 || runs[0].ID != usual.ID() {
			t.Errorf("%+v are left, want the run of queue default", runs)
		}
	})
}

func TestOperatorsSayHowLongAQueueKeepsItsRuns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		policy := persistence.RetentionPolicy{Queues: map[string]persistence.RetentionAges{"training": {Completed: time.Hour}}}
		node := startNode(t, memory.New(), Config{Retention: policy}, counting)
		finish(t, startWith(t, node, counting, workflow.Options{Queue: "training"}))
		finish(t, start(t, node, counting))
		for queue, seconds := range map[string]int{"training": 3 * 3600, "default": 2 * 3600} {
			if _, err := node.SetQueue(t.Context(), queue, workflow.QueueChange{RetainCompleted: new(seconds)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Minute)
		for _, kept := range []int{2, 2, 1, 0} { // at each half hour
			if runs := listed(t, node, "counting"); len(runs) != kept {
				t.Errorf("%+v are left, want %d", runs, kept)
			}
			time.Sleep(time.Hour)
		}
		if policy.Queues["training"].Completed != time.Hour {
			t.Error("what operators say is written into the node's configuration")
		}
	})
}

// calendar is a store that makes days ready when it prunes.
type calendar struct {
	*memory.Store
	due atomic.Bool
}

func (c *calendar) Expired(ctx context.Context, policy persistence.RetentionPolicy) (persistence.Expiry, error) {
	found, err := c.Store.Expired(ctx, policy)
	found.Days = c.due.Load()
	return found, err
}

func (c *calendar) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (persistence.Pruned, error) {
	pruned, err := c.Store.Prune(ctx, policy, limit)
	if c.due.Swap(false) {
		pruned.Days++
	}
	return pruned, err
}

func TestDaysToComeCallForRetention(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &calendar{Store: memory.New()}
		node := startNode(t, store, Config{}, workflow.New("counting", add("one")))
		for day := range 3 {
			store.due.Store(true)
			time.Sleep(24 * time.Hour)
			runs := listed(t, node, persistence.RetentionWorkflow)
			if len(runs) != 1 || runs[0].State != workflow.Completed || string(read(t, node, runs[0].ID).Output) != `{"runs":0,"messages":0,"boots":0,"takeovers":0,"days":1}` {
				t.Errorf("day %d: runs of retention are %+v, want one that dropped a day", day, runs)
			}
		}
	})
}

func TestNodesPruneByOneRunTogether(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(100*time.Hour))
		c := startCluster(t, 3, counting, holding)
		finish(t, start(t, c.nodes[0], counting))
		for i := range 3 * 2 { // all slots
			start(t, c.nodes[i%3], holding)
		}
		time.Sleep(25 * time.Hour)
		runs := listed(t, c.nodes[1], persistence.RetentionWorkflow)
		if len(runs) != 1 || runs[0].State != workflow.Available {
			t.Fatalf("runs of retention are %+v, want one that waits for a slot", runs)
		}
		hold.open()
		time.Sleep(2 * time.Minute)
		wantState(t, c.nodes[2], runs[0].ID, workflow.Completed)
		if n := len(listed(t, c.nodes[0], "counting")); n != 0 {
			t.Errorf("%d expired runs are left", n)
		}
	})
}

func TestRetentionThatFindsNoSlotIsTold(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var log strings.Builder
		counting := workflow.New("counting", add("one"))
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(100*time.Hour))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1, "metrics": 1}, Logger: textLog(&log)}, counting, holding)
		startWith(t, node, holding, workflow.Options{Queue: "metrics"})
		finish(t, start(t, node, counting))
		time.Sleep(24*time.Hour + 5*time.Minute)
		if waits := node.Stats().RetentionWaits; waits < 3*time.Minute || waits > 5*time.Minute {
			t.Errorf("retention waits for %s, want about four minutes", waits)
		}
		time.Sleep(time.Hour)
		hold.open()
		time.Sleep(2 * time.Minute)
		if waits := node.Stats().RetentionWaits; waits != 0 {
			t.Errorf("retention still waits, for %s", waits)
		}
		if runs := listed(t, node, "counting"); len(runs) != 0 {
			t.Errorf("%d expired runs are left", len(runs))
		}
		stopNode(t, node)
		if told := strings.Count(log.String(), "finds no slot; resume its queue"); told < 5 || told > 7 {
			t.Errorf("the log says %d times in an hour that retention finds no slot, want about six:\n%s", told, log.String())
		}
	})
}

func TestNodeWithoutMetricsPrunesInItsOwnQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		for queues, want := range map[string]string{"default orders": "default", "orders bills": "bills"} {
			limits := map[string]int{}
			for name := range strings.FieldsSeq(queues) {
				limits[name] = 1
			}
			node := startNode(t, memory.New(), Config{Queues: limits}, counting)
			finish(t, startWith(t, node, counting, workflow.Options{Queue: strings.Fields(queues)[0]}))
			time.Sleep(25 * time.Hour)
			runs := listed(t, node, persistence.RetentionWorkflow)
			if len(runs) != 1 || runs[0].Queue != want || len(listed(t, node, "counting")) != 0 {
				t.Errorf("with queues %s: runs of retention are %+v, want one in queue %s that deleted the other run", queues, runs, want)
			}
		}
	})
}

func TestStoreThatTakesNoRunsIsPrunedAllTheSame(t *testing.T) {
	t.Parallel()
	for name, queued := range map[string]bool{"before retention began": false, "while retention waits": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				counting := workflow.New("counting", add("one"))
				store := newFaultyStore()
				node := startNode(t, store, Config{}, counting)
				finish(t, start(t, node, counting))
				if queued {
					if _, _, err := node.PauseQueue(t.Context(), "metrics"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(24*time.Hour + 5*time.Minute)
					if own := listed(t, node, persistence.RetentionWorkflow); len(own) != 1 || len(listed(t, node, "counting")) != 1 {
						t.Fatalf("runs of retention are %+v, want one that waits", own)
					}
				}
				store.beforeCommit(func([]persistence.Write) error { return errDown })
				if _, err := counting.Start(t.Context(), node, count{}); err == nil {
					t.Fatal("a full disk took in a run")
				}
				time.Sleep(25 * time.Hour)
				if page, err := store.Runs(t.Context(), workflow.Filter{Workflow: "counting"}); err != nil || len(page.Runs) != 0 {
					t.Errorf("%+v, %v are left, want none: a full disk must get room", page.Runs, err)
				}
				store.restore()
				time.Sleep(time.Minute)
				finish(t, start(t, node, counting))
			})
		})
	}
}

func TestShortAgesAreLookedAfterMoreOften(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		policy := persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: 10 * time.Second}}
		node := startNode(t, memory.New(), Config{Retention: policy}, counting)
		for range 100 {
			finish(t, start(t, node, counting))
			time.Sleep(time.Second)
			if kept := len(listed(t, node, "counting")); kept > 16 {
				t.Fatalf("%d runs are kept, one a second: want those of 10 seconds and one look", kept)
			}
			if own := len(listed(t, node, persistence.RetentionWorkflow)); own > 2 {
				t.Fatalf("there are %d runs of retention", own)
			}
		}
	})
}

func TestAgesBelowZeroAreRefused(t *testing.T) {
	t.Parallel()
	policy := persistence.RetentionPolicy{
		RetentionAges: persistence.RetentionAges{Completed: -time.Hour}, Takeovers: -1,
		Queues: map[string]persistence.RetentionAges{"bills": {Failed: -time.Minute}},
	}
	_, err := NewNode(memory.New(), Config{Retention: policy})
	for _, want := range []string{"completed runs are kept for -1h0m0s", "failed runs in queue bills are kept for -1m0s", "takeovers are kept for -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one saying %q", err, want)
		}
	}
}
