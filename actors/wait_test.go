package actors

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence/memory"
	"singularity/workflow"
)

// lasting is a step that takes a while.
func lasting(name string, d time.Duration) workflow.Step[count] {
	return workflow.Do(name, func(ctx context.Context, s *count) error {
		select {
		case <-time.After(d):
			s.Trail = append(s.Trail, name)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func TestWaitReturnsTheMomentTheRunEnds(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				slow := workflow.New("slow", lasting("one", 1200*time.Millisecond), lasting("two", 1200*time.Millisecond)).Durability(level)
				node := startNode(t, memory.New(), Config{}, slow)
				began := time.Now()
				run := start(t, node, slow)
				synctest.Wait()
				other, err := slow.Handle(t.Context(), node, run.ID())
				if err != nil {
					t.Fatal(err)
				}
				if !other.Attached() || run.Attached() {
					t.Errorf("attached: %t for the one who started it, %t for the other", run.Attached(), other.Attached())
				}
				var waiters sync.WaitGroup
				for i := range 50 {
					waiters.Go(func() {
						handle := run
						if i%2 == 0 {
							handle = other
						}
						if out := finish(t, handle); !slices.Equal(out.Trail, []string{"one", "two"}) {
							t.Errorf("got %+v", out)
						}
					})
				}
				waiters.Wait()
				if took := time.Since(began); took != 2400*time.Millisecond {
					t.Errorf("the waiters heard of it after %s, want the time of the steps", took)
				}
			})
		})
	}
}

func TestWaitAfterTheEndReturnsAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		level workflow.Durability
		delay time.Duration // of the backoff in between
	}{
		{"checkpointed", workflow.Checkpointed, time.Second},
		{"restartable", workflow.Restartable, time.Second},
		{"ephemeral", workflow.Ephemeral, time.Second},
		{"checkpointed, left memory", workflow.Checkpointed, time.Minute},
		{"restartable, left memory", workflow.Restartable, time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				failing := failingOnce("failing", test.delay).Durability(test.level)
				node := startNode(t, memory.New(), Config{}, failing)
				run := start(t, node, failing)
				time.Sleep(time.Hour)
				other, err := failing.Handle(t.Context(), node, run.ID())
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for range 2 {
					finish(t, run)
					finish(t, other)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestWaitThatGivesUpLeavesTheRunGoing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		slow := workflow.New("slow", lasting("one", 10*time.Second))
		node := startNode(t, memory.New(), Config{}, slow)
		run := start(t, node, slow)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := run.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait answered %v", err)
		}
		finish(t, run)
		if n := node.watchers.count.Load(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}

func TestWaitOnANodeThatStopsSaysThatTheRunGoesOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, memory.New(), Config{}, holding)
		run := start(t, node, holding)
		answer := make(chan error)
		go func() {
			_, err := run.Wait(t.Context())
			answer <- err
		}()
		synctest.Wait()
		go stopNode(t, node)
		if err := <-answer; !errors.Is(err, workflow.ErrDraining) {
			t.Errorf("wait answered %v", err)
		}
	})
}

func TestWaitForNoRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{})
		if _, err := node.PendingRun(t.Context(), workflow.NewRunID()); !errors.Is(err, workflow.ErrRunNotFound) {
			t.Errorf("got %v", err)
		}
		if _, err := node.Watch(t.Context(), workflow.NewRunID()); !errors.Is(err, workflow.ErrRunNotFound) {
			t.Errorf("got %v", err)
		}
		if n := node.watchers.count.Load(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}

func kinds(events []workflow.Event) []string {
	var list []string
	for _, event := range events {
		line := string(event.Kind)
		if event.Step != "" {
			line += " " + event.Step
		}
		list = append(list, line)
	}
	return list
}

func TestWatchTellsWhatHappensInOrder(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				hold := newGate(t, "hold")
				failed := false
				stepping := workflow.New("stepping", hold.step(),
					workflow.Do("flaky", func(ctx context.Context, _ *count) error {
						workflow.Progress(ctx, "half")
						time.Sleep(time.Second)
						if !failed {
							failed = true
							return errors.New("not yet")
						}
						return nil
					}).Retry(workflow.Retry{Delays: []time.Duration{2 * time.Second}, Jitter: [2]float64{-1, -1}})).Durability(level)
				node := startNode(t, memory.New(), Config{}, stepping)
				run := start(t, node, stepping)
				synctest.Wait()
				watched, err := node.Watch(t.Context(), run.ID())
				if err != nil {
					t.Fatal(err)
				}
				hold.open()
				var events []workflow.Event
				for event := range watched {
					events = append(events, event)
				}
				want := []string{
					"step_finished hold",
					"step_started flaky", "step_progress flaky", "step_failed flaky",
					"step_started flaky", "step_progress flaky", "step_finished flaky",
					"run_ended",
				}
				if got := kinds(events); !slices.Equal(got, want) {
					t.Fatalf("events are %v, want %v", got, want)
				}
				if failure := events[3]; failure.Error != "not yet" || failure.Retry != 2*time.Second || failure.Attempt != 1 || failure.Elapsed != time.Second {
					t.Errorf("the failure is told as %+v", failure)
				}
				if string(events[2].Progress) != `"half"` || events[5].Attempt != 2 {
					t.Errorf("progress is told as %+v and %+v", events[2], events[5])
				}
				if ended := events[7].Ended; ended == nil || ended.State != workflow.Completed || !json.Valid(ended.Output) {
					t.Errorf("the end is told as %+v", ended)
				}
			})
		})
	}
}

func TestSlowWatcherMissesEventsButNotTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		talking := workflow.New("talking", hold.step(), workflow.Do("talk", func(ctx context.Context, _ *count) error {
			for i := range 10 * eventsKept {
				workflow.Progress(ctx, i)
			}
			return nil
		}))
		node := startNode(t, memory.New(), Config{}, talking)
		run := start(t, node, talking)
		synctest.Wait()
		watched, err := node.Watch(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		hold.open()
		finish(t, run)
		time.Sleep(time.Minute)
		var events []workflow.Event
		for event := range watched {
			events = append(events, event)
		}
		if len(events) < eventsKept || len(events) > 2*eventsKept {
			t.Errorf("a slow reader got %d events", len(events))
		}
		if last := events[len(events)-1]; last.Kind != workflow.RunEnded {
			t.Errorf("the last event is %s", last.Kind)
		}
	})
}

func TestWatchOfAnEndedRunTellsTheEndAtOnce(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				counting := workflow.New("counting", add("one")).Durability(level)
				node := startNode(t, memory.New(), Config{}, counting)
				run := start(t, node, counting)
				finish(t, run)
				watched, err := node.Watch(t.Context(), run.ID())
				if err != nil {
					t.Fatal(err)
				}
				var events []workflow.Event
				for event := range watched {
					events = append(events, event)
				}
				if got := kinds(events); !slices.Equal(got, []string{"run_ended"}) {
					t.Errorf("events are %v", got)
				}
			})
		})
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, memory.New(), Config{}, holding)
		run := start(t, node, holding)
		ctx, cancel := context.WithCancel(t.Context())
		watched, err := node.Watch(ctx, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		for range watched { // until it is closed
		}
		if n := node.watchers.count.Load(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		hold.open()
		finish(t, run)
	})
}

func TestOnlyTheLastEphemeralRunsAreRemembered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		counting := workflow.New("counting", add("one")).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{}, counting)
		first := start(t, node, counting)
		finish(t, first)
		read(t, node, first.ID())
		for range endedKept {
			finish(t, start(t, node, counting))
		}
		if _, err := node.Run(t.Context(), first.ID()); !errors.Is(err, workflow.ErrRunNotFound) {
			t.Errorf("the first of %d is still known: %v", endedKept+1, err)
		}
		if n := len(node.watchers.ended); n != endedKept {
			t.Errorf("%d ended runs are kept, want %d", n, endedKept)
		}
		finish(t, first) // its handle knows
	})
}
