package actors

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// overdueSoon is how soon after its deadline a run that waits has failed.
const overdueSoon = deadlinesSoonest + 50*time.Millisecond

// wantOverdue waits for a run that must fail at its deadline.
func wantOverdue(t *testing.T, run *workflow.Handle[count], deadline time.Time) {
	t.Helper()
	_, err := run.Wait(t.Context())
	ended, failed := errors.AsType[*workflow.RunError](err)
	if late := time.Since(deadline); !failed || ended.State != workflow.Failed || late < 0 || late > overdueSoon {
		t.Errorf("the run ended with %v, %s after its deadline", err, late)
	}
}

func TestRunThatWaitsFailsAtItsDeadline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options workflow.Options
		due     time.Duration // from now; 0 for at once
		pause   bool
		fill    int // slots, of two
	}{
		{"for a slot", workflow.Options{Deadline: 3 * time.Second}, 0, false, 2},
		{"in a paused queue", workflow.Options{Deadline: 3 * time.Second}, 0, true, 0},
		{"in a paused queue, beyond the usual look", workflow.Options{Deadline: time.Hour}, 0, true, 0},
		{"in a paused queue, after a delay", workflow.Options{Delay: 30 * time.Second, Deadline: 3 * time.Second}, 0, true, 0},
		{"in a paused queue, due later", workflow.Options{Deadline: time.Second}, 30 * time.Second, true, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				hold := newGate(t, "hold")
				holding, flow := workflow.New("holding", hold.step().Timeout(2000*time.Hour)), workflow.New("flow", add("one"))
				node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 2}}, holding, flow)
				for range test.fill {
					start(t, node, holding)
				}
				if test.pause {
					if _, _, err := node.PauseQueue(t.Context(), "default"); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if test.due > 0 {
					test.options.Due = time.Now().Add(test.due)
				}
				run := startWith(t, node, flow, test.options)
				wantOverdue(t, run, *read(t, node, run.ID()).Deadline)
			})
		})
	}
}

func TestRunThatANodeLeftBehindFailsAtItsDeadlineOnAnother(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startCluster(t, 2, flow)
		if _, _, err := c.nodes[0].PauseQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		run := startWith(t, c.nodes[0], flow, workflow.Options{Deadline: 20 * time.Second})
		deadline := *read(t, c.nodes[1], run.ID()).Deadline
		c.kill(0)
		wantOverdueSoon(t, c.nodes[1], run.ID(), deadline)
	})
}

func wantOverdueSoon(t *testing.T, node *Node, id workflow.RunID, deadline time.Time) {
	t.Helper()
	time.Sleep(time.Until(deadline) + overdueSoon)
	if run := read(t, node, id); run.State != workflow.Failed {
		t.Errorf("the run is %s after its deadline, want it failed", run.State)
	}
}

func TestRunThatIsOverdueEndsItsBatch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		node := startNode(t, memory.New(), Config{}, flow)
		if _, _, err := node.PauseQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		_, err := flow.StartBatch(t.Context(), node, workflow.Batch{ID: "b", Last: true}, []count{{}, {}}, workflow.Options{Deadline: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second + overdueSoon + batchesEvery)
		batch, err := node.Batch(t.Context(), "b")
		if err != nil || batch.EndedAt == nil || batch.States[workflow.Failed] != 2 {
			t.Errorf("the batch is %+v (%v), want it ended with two failed runs", batch, err)
		}
	})
}

func TestDeadlinesAreNotLookedForWhileThereAreNone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startPeers(t, 2, flow)
		time.Sleep(time.Minute)
		before := c.links[0].count("expire")
		for range 100 {
			finish(t, start(t, c.nodes[0], flow))
		}
		time.Sleep(time.Hour)
		if looks := c.links[0].count("expire") - before; looks > 6 {
			t.Errorf("a node looked for deadlines %d times in an hour without any", looks)
		}
	})
}

func TestStartsWithDeadlinesShareALook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startPeers(t, 1, flow)
		before := c.links[0].count("expire")
		for range 500 {
			finish(t, startWith(t, c.nodes[0], flow, workflow.Options{Deadline: 2 * time.Second}))
			time.Sleep(10 * time.Millisecond)
		}
		if looks := c.links[0].count("expire") - before; looks > 5+500/100 {
			t.Errorf("a node looked for deadlines %d times in 5 seconds in which all runs ended long before", looks)
		}
	})
}

func TestStoreThatFailsIsAskedAgainForDeadlines(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startCluster(t, 1, flow)
		if _, _, err := c.nodes[0].PauseQueue(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		run := startWith(t, c.nodes[0], flow, workflow.Options{Deadline: 2 * time.Second})
		c.set(func() { c.down = true })
		time.Sleep(3 * time.Second)
		c.set(func() { c.down = false })
		time.Sleep(deadlinesAgain + persistence.RenewEvery)
		wantState(t, c.nodes[0], run.ID(), workflow.Failed)
	})
}
