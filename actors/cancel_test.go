package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestCancelEndsARunWhereverItStands(t *testing.T) {
	t.Parallel()
	later := workflow.Options{Due: time.Now().Add(1000 * time.Hour)}
	tests := []struct {
		name    string
		level   workflow.Durability
		options workflow.Options
		delay   time.Duration // between the attempts; 0: the step holds
		before  workflow.State
	}{
		{"running", workflow.Checkpointed, workflow.Options{}, 0, workflow.Running},
		{"running, restartable", workflow.Restartable, workflow.Options{}, 0, workflow.Running},
		{"backing off in memory", workflow.Checkpointed, workflow.Options{}, 4 * time.Second, workflow.Running},
		{"backing off in memory, restartable", workflow.Restartable, workflow.Options{}, 4 * time.Second, workflow.Running},
		{"retryable", workflow.Checkpointed, workflow.Options{}, time.Hour, workflow.Retryable},
		{"scheduled", workflow.Checkpointed, later, 0, workflow.Scheduled},
		{"available", workflow.Checkpointed, workflow.Options{Queue: "full"}, 0, workflow.Available},
		{"ephemeral", workflow.Ephemeral, workflow.Options{}, 0, workflow.Running},
		{"ephemeral, backing off", workflow.Ephemeral, workflow.Options{}, time.Hour, workflow.Running},
		{"ephemeral, waiting for a slot", workflow.Ephemeral, workflow.Options{Queue: "full"}, 0, workflow.Available},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				hold, blocker := newGate(t, "hold"), newGate(t, "blocker")
				step := hold.step()
				if test.delay > 0 {
					step = workflow.Do("fail", func(context.Context, *count) error {
						hold.entered.Add(1)
						return errors.New("no")
					}).Retry(workflow.Retry{Delays: []time.Duration{test.delay}, Jitter: [2]float64{-1, -1}})
				}
				holding := workflow.New("holding", step, add("two")).Durability(test.level)
				blocking := workflow.New("blocking", blocker.step().Timeout(2000*time.Hour))
				queues := map[string]int{"default": 1, "full": 1}
				node := startNode(t, memory.New(), Config{Queues: queues}, holding, blocking)
				startWith(t, node, blocking, workflow.Options{Queue: "full"})
				synctest.Wait()
				run := startWith(t, node, holding, test.options)
				time.Sleep(time.Second)
				wantState(t, node, run.ID(), test.before)
				entered := hold.entered.Load()

				began := time.Now()
				changed, err := node.Cancel(t.Context(), run.ID(), "no longer needed")
				if err != nil || changed.State != workflow.Cancelled {
					t.Fatalf("cancel answered %s, %v", changed.State, err)
				}
				if ended := fails(t, run); ended.State != workflow.Cancelled {
					t.Errorf("the run ended as %s", ended.State)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("the one who waits heard of it after %s", took)
				}
				row := wantState(t, node, run.ID(), workflow.Cancelled)
				if test.level != workflow.Ephemeral && row.Reason != "no longer needed" {
					t.Errorf("the row's reason is %q", row.Reason)
				}
				synctest.Wait()
				if inMemory(node, run.ID()) {
					t.Error("the run is still in memory")
				}
				if hold.entered.Load() == 1 && test.delay == 0 && hold.ended.Load() != 1 {
					t.Error("the context of the step was not cancelled")
				}
				blocker.open()
				time.Sleep(2 * time.Hour)
				if hold.entered.Load() != entered {
					t.Error("a step ran after the cancel")
				}
				finish(t, start(t, node, workflowThat(t, node, "next"))) // the slot is free again
			})
		})
	}
}

// workflowThat registers a workflow of one step.
func workflowThat(t *testing.T, node *Node, name string) *workflow.Workflow[count, count] {
	t.Helper()
	w := workflow.New(name, add("one"))
	if err := node.Register(w); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCancelTwiceIsOneAndAfterTheEndIsRefused(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				hold := newGate(t, "hold")
				holding := workflow.New("holding", hold.step()).Durability(level)
				node := startNode(t, memory.New(), Config{}, holding)
				run := start(t, node, holding)
				for i := range 2 {
					if _, err := node.Cancel(t.Context(), run.ID(), ""); i == 0 && err != nil {
						t.Fatal(err)
					} else if level != workflow.Ephemeral && err != nil {
						t.Fatalf("the second cancel: %v", err)
					}
					synctest.Wait()
				}
				hold.open()
				run = start(t, node, holding)
				finish(t, run)
				if _, err := node.Cancel(t.Context(), run.ID(), ""); !errors.Is(err, workflow.ErrWrongState) {
					t.Errorf("cancel of a completed run answered %v", err)
				}
				if _, err := node.Cancel(t.Context(), workflow.NewRunID(), ""); !errors.Is(err, workflow.ErrRunNotFound) {
					t.Errorf("cancel of no run answered %v", err)
				}
			})
		})
	}
}

func TestCancelThatOvertakesACheckpointFencesIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		one, two := newGate(t, "one"), newGate(t, "two")
		stepping := workflow.New("stepping", one.step(), two.step())
		counting := workflow.New("counting", add("one"))
		node := startNode(t, store, Config{}, stepping, counting)
		run := start(t, node, stepping)
		synctest.Wait()

		// An unrelated batch is on its way; behind it line up the cancel and,
		// after it, the checkpoint.
		store.beforeCommit(func([]persistence.Write) error { <-block; return nil })
		go func() { _, _ = counting.Start(t.Context(), node, count{}) }()
		synctest.Wait()
		cancelled := make(chan error)
		go func() {
			_, err := node.Cancel(t.Context(), run.ID(), "")
			cancelled <- err
		}()
		synctest.Wait()
		one.open()
		synctest.Wait()
		close(block)
		if err := <-cancelled; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantState(t, node, run.ID(), workflow.Cancelled)
		if two.entered.Load() != 0 {
			t.Error("the next step ran after the cancel")
		}
		if got := history(t, node, run.ID()); len(got) != 0 {
			t.Errorf("history is %v, want nothing after the cancel", got)
		}
	})
}

func TestCancelBehindACheckpointLetsNoFurtherOneLand(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		one, two := newGate(t, "one"), newGate(t, "two")
		stepping := workflow.New("stepping", one.step(), two.step(), add("three"))
		node := startNode(t, store, Config{}, stepping)
		run := start(t, node, stepping)
		synctest.Wait()
		store.beforeCommit(func([]persistence.Write) error { <-block; return nil })
		one.open()
		synctest.Wait()
		cancelled := make(chan error)
		go func() {
			_, err := node.Cancel(t.Context(), run.ID(), "")
			cancelled <- err
		}()
		synctest.Wait()
		close(block)
		if err := <-cancelled; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantState(t, node, run.ID(), workflow.Cancelled)
		if two.inside.Load() != 0 || two.ended.Load() != two.entered.Load() {
			t.Error("the next step goes on")
		}
		if got := history(t, node, run.ID()); !slices.Equal(got, []string{"one completed"}) {
			t.Errorf("history is %v", got)
		}
	})
}

// Between the cancel and the retry the step ignores its context, so that the
// old actor is still there when the run is claimed again.
func TestRetryOfARunWhoseOldStepGoesOnStartsItOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		deaf := newGate(t, "deaf")
		deaf.stubborn = true
		second := newGate(t, "second")
		ignoring := workflow.New("ignoring", deaf.step(), second.step())
		counting := workflow.New("counting", add("one"))
		store := newFaultyStore()
		node := startNode(t, store, Config{Queues: map[string]int{"default": 4, "metrics": 9}}, ignoring, counting)
		run := start(t, node, ignoring)
		synctest.Wait()
		if _, err := node.Cancel(t.Context(), run.ID(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := node.Retry(t.Context(), run.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if n := deaf.entered.Load(); n != 1 {
			t.Fatalf("the step was entered %d times while the old one goes on", n)
		}
		if n := store.committed(); n > 20 {
			t.Errorf("%d batches in three seconds: it does not wait, it spins", n)
		}
		time.Sleep(grace)
		if n := deaf.entered.Load(); n != 2 {
			t.Fatalf("the step was entered %d times, want again after the grace", n)
		}
		deaf.open()
		synctest.Wait()
		second.open()
		handle, err := ignoring.Handle(t.Context(), node, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if out := finish(t, handle); !slices.Equal(out.Trail, []string{"deaf", "second"}) {
			t.Errorf("got %+v", out)
		}
		wantFreeSlots(t, node, 4)
	})
}

// wantFreeSlots checks by use that so many slots of the default queue are free,
// and not one more.
func wantFreeSlots(t *testing.T, node *Node, want int32) {
	t.Helper()
	hold := newGate(t, "hold")
	probing := workflow.New("probing", hold.step().Timeout(time.Hour))
	if err := node.Register(probing); err != nil {
		t.Fatal(err)
	}
	for range want + 2 {
		start(t, node, probing)
	}
	time.Sleep(time.Minute)
	if got := hold.inside.Load(); got != want {
		t.Errorf("%d slots are free, want %d", got, want)
	}
}

func TestRetryGoesOnAtTheStepWhereTheRunStands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(t *testing.T, node *Node, id workflow.RunID)
		want workflow.State
	}{
		{"failed", func(t *testing.T, _ *Node, _ workflow.RunID) { t.Helper(); time.Sleep(time.Second) }, workflow.Failed},
		{"cancelled", func(t *testing.T, node *Node, id workflow.RunID) {
			t.Helper()
			if _, err := node.Cancel(t.Context(), id, ""); err != nil {
				t.Fatal(err)
			}
		}, workflow.Cancelled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				var mended bool
				breaking := workflow.New("breaking", add("one"), workflow.Do("break", func(ctx context.Context, s *count) error {
					switch {
					case mended:
						s.Trail = append(s.Trail, "break")
						return nil
					case test.want == workflow.Failed:
						return workflow.Permanent(errors.New("no"))
					default:
						<-ctx.Done()
						return ctx.Err()
					}
				}))
				node := startNode(t, memory.New(), Config{}, breaking)
				run := start(t, node, breaking)
				synctest.Wait()
				test.end(t, node, run.ID())
				wantState(t, node, run.ID(), test.want)
				synctest.Wait()
				mended = true
				changed, err := node.Retry(t.Context(), run.ID())
				if err != nil || changed.State != workflow.Available {
					t.Fatalf("retry answered %s, %v", changed.State, err)
				}
				handle, err := breaking.Handle(t.Context(), node, run.ID())
				if err != nil {
					t.Fatal(err)
				}
				if out := finish(t, handle); !slices.Equal(out.Trail, []string{"one", "break"}) {
					t.Errorf("got %+v", out)
				}
				if _, err := node.Retry(t.Context(), run.ID()); !errors.Is(err, workflow.ErrWrongState) {
					t.Errorf("retry of a completed run answered %v", err)
				}
			})
		})
	}
}

func TestCancelReasonIsStoredAsText(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one"))
		node := startNode(t, memory.New(), Config{}, counting)
		run := startWith(t, node, counting, workflow.Options{Due: time.Now().Add(time.Hour)})
		reason := "zero \x00, half \xff" + strings.Repeat("x", workflow.MaxError)
		changed, err := node.Cancel(t.Context(), run.ID(), reason)
		if err != nil || len(changed.Reason) > workflow.MaxError || !utf8.ValidString(changed.Reason) || strings.Contains(changed.Reason, "\x00") {
			t.Errorf("the reason is stored as %.40q… of %d bytes, %v", changed.Reason, len(changed.Reason), err)
		}
	})
}

// The nodes cannot hear each other; the store tells the owner.
func TestCancelReachesAStepOnANodeWithoutPeersAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startCluster(t, 2, holding)
		run := start(t, c.nodes[0], holding)
		synctest.Wait()
		if _, err := c.nodes[1].Cancel(t.Context(), run.ID(), "enough"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(soon)
		if hold.ended.Load() != 1 || inMemory(c.nodes[0], run.ID()) {
			t.Error("the step goes on")
		}
	})
}

func TestCancelThatABrokenSessionDidNotHearIsFoundByTheNextOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startCluster(t, 2, holding)
		run := start(t, c.nodes[0], holding)
		synctest.Wait()
		c.set(func() { c.muted = true })
		if _, err := c.nodes[1].Cancel(t.Context(), run.ID(), "enough"); err != nil {
			t.Fatal(err)
		}
		c.set(func() { c.links[0].since = time.Now() }) // of another session
		time.Sleep(2 * persistence.RenewEvery)
		if hold.ended.Load() != 1 || inMemory(c.nodes[0], run.ID()) {
			t.Error("the step goes on")
		}
	})
}
