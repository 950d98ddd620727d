package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestStopLetsTheStepsUnderWayFinishAndHandsTheirRunsOver(t *testing.T) {
	t.Parallel()
	for _, level := range []workflow.Durability{workflow.Checkpointed, workflow.Restartable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store := memory.New()
				stepping := workflow.New("stepping", add("one"), lasting("two", 5*time.Second), add("three")).Durability(level)
				first := startNode(t, store, Config{}, stepping)
				run := start(t, first, stepping)
				synctest.Wait()
				began := time.Now()
				stopNode(t, first)
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("the stop took %s, want until the step ends", took)
				}
				row, err := store.Run(t.Context(), run.ID())
				if err != nil || row.State != workflow.Available || row.Step != "three" || row.Crashes != 0 || row.Owner != "" {
					t.Errorf("row is %+v, %v", row, err)
				}

				second := startNode(t, store, Config{}, stepping)
				handle, err := stepping.Handle(t.Context(), second, run.ID())
				if err != nil {
					t.Fatal(err)
				}
				if out := finish(t, handle); !slices.Equal(out.Trail, []string{"one", "two", "three"}) {
					t.Errorf("got %+v", out)
				}
			})
		})
	}
}

func TestStopInterruptsTheStepsThatOutlastItsDeadline(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		for _, stubborn := range []bool{false, true} {
			name := string(level)
			if stubborn {
				name += ", ignored"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					store := memory.New()
					hold := newGate(t, "hold")
					hold.stubborn = stubborn
					holding := workflow.New("holding", add("one"), hold.step().Timeout(time.Hour), add("three")).Durability(level)
					first := startNode(t, store, Config{}, holding)
					run := start(t, first, holding)
					synctest.Wait()
					began := time.Now()
					stopNode(t, first)
					want := 10 * time.Second
					if stubborn {
						want += grace
					}
					if took := time.Since(began); took != want {
						t.Errorf("the stop took %s, want %s", took, want)
					}
					if level == workflow.Ephemeral {
						if ended := fails(t, run); !strings.Contains(ended.Reason, "stopping") {
							t.Errorf("the ephemeral run ended with %q", ended.Reason)
						}
						return
					}
					row, err := store.Run(t.Context(), run.ID())
					if err != nil || row.State != workflow.Available || row.Step != "hold" || row.Crashes != 0 || row.Attempt != 0 {
						t.Errorf("row is %+v, %v, want the attempt not to count", row, err)
					}
				})
			})
		}
	}
}

// The deadline passes, and the step that the stop interrupts returns without an
// error all the same. There must not be a next one.
func TestEphemeralRunTakesNoFurtherStepAfterTheDeadline(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		turns := 0
		looping := workflow.New("looping", workflow.Loop("turn", func(ctx context.Context, _ *count) (bool, error) {
			turns++
			select {
			case <-ctx.Done():
			case <-time.After(4 * time.Second):
			}
			return false, nil
		})).Durability(workflow.Ephemeral)
		failing := workflow.New("failing", workflow.Do("fail", func(ctx context.Context, _ *count) error {
			<-ctx.Done()
			return errors.New("my own words")
		}).Retry(workflow.Retry{Delays: []time.Duration{time.Hour}})).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{}, looping, failing)
		loop, fail := start(t, node, looping), start(t, node, failing)
		synctest.Wait()
		began := time.Now()
		stopNode(t, node)
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the stop took %s", took)
		}
		fails(t, loop)
		fails(t, fail)
		if turns != 3 {
			t.Errorf("%d turns, want the two that fit and the one that was interrupted", turns)
		}
	})
}

func TestStopReleasesRunsInBackoff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		failing := failingOnce("failing", 4*time.Second)
		node := startNode(t, store, Config{}, failing)
		run := start(t, node, failing)
		time.Sleep(time.Second)
		began := time.Now()
		stopNode(t, node)
		if took := time.Since(began); took != 0 {
			t.Errorf("the stop took %s", took)
		}
		row, err := store.Run(t.Context(), run.ID())
		if err != nil || row.State != workflow.Available || row.Attempt != 1 {
			t.Errorf("row is %+v, %v", row, err)
		}
	})
}

func TestStopEndsEphemeralRunsThatWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		brief := workflow.New("brief", lasting("one", time.Second)).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1}}, brief)
		running, waiting := start(t, node, brief), start(t, node, brief)
		synctest.Wait()
		stopNode(t, node)
		finish(t, running)
		fails(t, waiting)
	})
}

// While its actor waits to be restarted a run cannot hear that the node drains.
func TestStopReachesRunsWhoseActorIsBeingRestarted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		hold := newGate(t, "hold")
		holding := workflow.New("holding", add("one"), hold.step(), add("three"))
		node := startNode(t, store, Config{}, holding)
		run := start(t, node, holding)
		synctest.Wait()
		crash(node, runPID(run.ID()))
		synctest.Wait()
		began := time.Now()
		stopNode(t, node)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the stop took %s", took)
		}
		row, err := store.Run(t.Context(), run.ID())
		if err != nil || row.State != workflow.Available || row.Step != "hold" || row.Crashes != 0 {
			t.Errorf("row is %+v, %v", row, err)
		}
		if n := hold.entered.Load(); n != 1 {
			t.Errorf("the step was entered %d times", n)
		}
	})
}

func TestStopDuringAnOutageLeavesTheRunsToTheNextNode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step(), add("two"))
		first := startNode(t, store, Config{}, holding)
		run := start(t, first, holding)
		synctest.Wait()
		store.beforeCommit(func([]persistence.Write) error { return errDown })
		hold.open()
		time.Sleep(5 * time.Second)
		began := time.Now()
		stopNode(t, first)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the stop took %s", took)
		}
		store.restore()
		second := startNode(t, store, Config{}, holding)
		handle, err := holding.Handle(t.Context(), second, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		finish(t, handle)
	})
}

func TestNodeThatStopsRefusesWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, memory.New(), Config{}, holding)
		run := start(t, node, holding)
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stopNode(t, node)
		}()
		synctest.Wait()
		for range 2 { // while it drains, and after
			if _, err := holding.Start(t.Context(), node, count{}); !errors.Is(err, workflow.ErrDraining) {
				t.Errorf("start answered %v", err)
			}
			if err := node.Ready(t.Context()); !errors.Is(err, workflow.ErrDraining) {
				t.Errorf("readiness answered %v", err)
			}
			hold.open()
			<-stopped
		}
		if _, err := node.Cancel(t.Context(), run.ID(), ""); !errors.Is(err, workflow.ErrUnavailable) {
			t.Errorf("cancel answered %v", err)
		}
		if err := node.Stop(t.Context()); err != nil {
			t.Errorf("the second stop answered %v", err)
		}
		if err := node.Err(); err != nil {
			t.Errorf("a stop counts as a failure: %v", err)
		}
	})
}

// unreachable is a store that is not there for some calls of Leave.
type unreachable struct {
	persistence.Store
	calls, failing int
}

func (s *unreachable) Leave(ctx context.Context, boot persistence.BootID) error {
	if s.calls++; s.calls <= s.failing {
		return errDown
	}
	return s.Store.Leave(ctx, boot)
}

func TestStopLeavesAStoreThatIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := &unreachable{Store: memory.New(), failing: 2}
		node := startNode(t, store, Config{}, workflow.New("flow", add("one")))
		if err := node.Stop(t.Context()); err != nil || store.calls != 3 {
			t.Errorf("got %v after %d calls, want the third to do it", err, store.calls)
		}
	})
}
