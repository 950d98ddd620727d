package actors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

var levels = []workflow.Durability{workflow.Checkpointed, workflow.Restartable, workflow.Ephemeral}

func TestRunPassesThroughItsSteps(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			counting := workflow.New("counting", add("one"), add("two"), add("three")).Durability(level)
			node := openNode(t, memory.New(), Config{}, counting)
			out := finish(t, start(t, node, counting))
			if want := []string{"one", "two", "three"}; out.N != 3 || !slices.Equal(out.Trail, want) {
				t.Errorf("got %+v, want the trail %v", out, want)
			}
		})
	}
}

func TestEachTurnOfALoopIsACheckpoint(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		looping := workflow.New("looping", add("before"),
			workflow.Loop("turn", func(_ context.Context, s *count) (bool, error) {
				s.N++
				return s.N == 4, nil
			}), add("after"))
		node := startNode(t, memory.New(), Config{}, looping)
		run := start(t, node, looping)
		if out := finish(t, run); out.N != 5 {
			t.Errorf("got %+v, want 5", out)
		}
		steps, err := node.Steps(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, step := range steps {
			got = append(got, fmt.Sprintf("%d %s[%d]", step.Seq, step.Step, step.Turn))
		}
		want := []string{"1 before[0]", "2 turn[0]", "3 turn[1]", "4 turn[2]", "5 after[0]"}
		if !slices.Equal(got, want) {
			t.Errorf("history is %v, want %v", got, want)
		}
	})
}

func TestWhatARunReportsIsStored(t *testing.T) {
	t.Parallel()
	cents := 0.004
	report := func(failure error) workflow.Step[count] {
		return workflow.Do("report", func(ctx context.Context, s *count) error {
			s.N++
			workflow.Record(ctx, "call", map[string]int{"n": s.N})
			workflow.Summarize(ctx, workflow.Summary{Model: "small", Tokens: 7, CostCents: &cents})
			workflow.Send(ctx, workflow.Message{Agent: "desk", Type: "note"})
			return failure
		}).Retry(workflow.Retry{Attempts: 2, Delays: []time.Duration{time.Second}})
	}
	tests := []struct {
		name     string
		level    workflow.Durability
		failure  error
		facts    int // of all attempts
		result   bool
		messages int
	}{
		{"checkpointed", workflow.Checkpointed, nil, 1, true, 1},
		{"restartable", workflow.Restartable, nil, 1, true, 1},
		{"checkpointed, failing", workflow.Checkpointed, errors.New("no"), 2, true, 0},
		{"restartable, failing", workflow.Restartable, errors.New("no"), 2, true, 0},
		{"ephemeral, failing", workflow.Ephemeral, errors.New("no"), 0, false, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store := memory.New()
				reporting := workflow.New("reporting", report(test.failure), add("two")).Durability(test.level)
				node := startNode(t, store, Config{}, reporting)
				run := start(t, node, reporting)
				if _, err := run.Wait(t.Context()); (err != nil) != (test.failure != nil) {
					t.Fatalf("run ended with %v", err)
				}
				facts := 0
				if steps, err := node.Steps(t.Context(), run.ID()); err == nil {
					for _, step := range steps {
						facts += len(step.Facts)
					}
				}
				if facts != test.facts {
					t.Errorf("%d facts are stored, want %d", facts, test.facts)
				}
				result, found := store.JobResult(run.ID())
				if found != test.result || found && (result.Summary.Tokens != 7 || result.Success != (test.failure == nil)) {
					t.Errorf("job result is %+v, %t", result, found)
				}
				inbox, err := store.Inbox(t.Context(), "desk", 0, 10)
				if err != nil || len(inbox) != test.messages {
					t.Errorf("inbox is %v, %v, want %d messages", inbox, err, test.messages)
				}
			})
		})
	}
}

func TestEphemeralRunCannotSendMessages(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		sending := workflow.New("sending", workflow.Do("send", func(ctx context.Context, _ *count) error {
			workflow.Send(ctx, workflow.Message{Agent: "desk"})
			return nil
		})).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{}, sending)
		if ended := fails(t, start(t, node, sending)); !strings.Contains(ended.Reason, "cannot send messages") {
			t.Errorf("reason is %q", ended.Reason)
		}
	})
}

func TestFailedAttemptLeavesNoTraceAndIsRetried(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				var attempts atomic.Int32
				flaky := workflow.New("flaky", workflow.Do("flake", func(_ context.Context, s *count) error {
					s.N++
					if attempts.Add(1) < 3 {
						return errors.New("not yet")
					}
					return nil
				}).Retry(workflow.Retry{Delays: []time.Duration{time.Second}})).Durability(level)
				node := startNode(t, memory.New(), Config{}, flaky)
				if out := finish(t, start(t, node, flaky)); out.N != 1 || attempts.Load() != 3 {
					t.Errorf("got %+v after %d attempts", out, attempts.Load())
				}
			})
		})
	}
}

func TestShortBackoffIsSpentInMemory(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		failing := failingOnce("failing", 4*time.Second)
		node := startNode(t, memory.New(), Config{}, failing)
		run := start(t, node, failing)
		time.Sleep(2 * time.Second)
		if !inMemory(node, run.ID()) {
			t.Error("the run has left memory for a backoff of 4s")
		}
		wantState(t, node, run.ID(), workflow.Running)
		finish(t, run)
	})
}

func TestLongBackoffLeavesMemoryAndComesBackByItself(t *testing.T) {
	t.Parallel()
	for _, level := range []workflow.Durability{workflow.Checkpointed, workflow.Restartable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				failing := failingOnce("failing", 100*time.Second).Durability(level)
				node := startNode(t, memory.New(), Config{}, failing)
				began := time.Now()
				run := start(t, node, failing)
				time.Sleep(time.Second)
				if inMemory(node, run.ID()) {
					t.Error("the run is still in memory")
				}
				if row := wantState(t, node, run.ID(), workflow.Retryable); row.Attempt != 1 || row.Error != "not yet" {
					t.Errorf("row is %+v", row)
				}
				finish(t, run)
				if took := time.Since(began); took < 100*time.Second || took > 101*time.Second {
					t.Errorf("the run came back after %s, want 100s", took)
				}
			})
		})
	}
}

// failingOnce is a workflow whose second step fails once.
func failingOnce(name string, delay time.Duration) *workflow.Workflow[count, count] {
	var failed atomic.Bool
	return workflow.New(name, add("one"), workflow.Do("two", func(_ context.Context, s *count) error {
		s.N++
		if failed.CompareAndSwap(false, true) {
			return errors.New("not yet")
		}
		return nil
	}).Retry(workflow.Retry{Delays: []time.Duration{delay}, Jitter: [2]float64{-1, -1}}), add("three"))
}

func TestStepThatPanicsIsAFailedAttemptWithItsStack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		panicking := workflow.New("panicking", workflow.Do("panic", func(context.Context, *count) error {
			panic("out of cheese")
		}).Retry(workflow.Retry{Attempts: 2, Delays: []time.Duration{time.Second}}))
		node := startNode(t, memory.New(), Config{}, panicking)
		run := start(t, node, panicking)
		ended := fails(t, run)
		if !strings.Contains(ended.Reason, "out of cheese") || !strings.Contains(ended.Reason, "run_test.go") {
			t.Errorf("reason has no value or no stack: %s", ended.Reason)
		}
		if got := history(t, node, run.ID()); !slices.Equal(got, []string{"panic failed", "panic failed"}) {
			t.Errorf("history is %v", got)
		}
	})
}

func TestStepThatEndsItsGoroutineIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		exiting := workflow.New("exiting", workflow.Do("exit", func(context.Context, *count) error {
			runtime.Goexit()
			return nil
		}).Retry(workflow.Retry{Attempts: 1}))
		node := startNode(t, memory.New(), Config{}, exiting)
		run := start(t, node, exiting)
		if ended := fails(t, run); !strings.Contains(ended.Reason, "Goexit") {
			t.Errorf("reason is %q", ended.Reason)
		}
		steps, err := node.Steps(t.Context(), run.ID())
		if err != nil || len(steps) != 1 || steps[0].FinishedAt.Before(steps[0].StartedAt) {
			t.Errorf("history is %+v, %v", steps, err)
		}
	})
}

func TestTimeoutIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		slow := newGate(t, "slow")
		waiting := workflow.New("waiting", slow.step().Timeout(3*time.Second).Retry(workflow.Retry{Attempts: 1}))
		node := startNode(t, memory.New(), Config{}, waiting)
		began := time.Now()
		if ended := fails(t, start(t, node, waiting)); ended.Reason != "timed out after 3s" {
			t.Errorf("reason is %q", ended.Reason)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the run ended after %s, want 3s", took)
		}
	})
}

func TestSlotOfAStepThatIgnoresItsContextIsLostUntilTheStepReturns(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		deaf := newGate(t, "deaf")
		deaf.stubborn = true
		ignoring := workflow.New("ignoring", deaf.step().Timeout(time.Second).Retry(workflow.Retry{Attempts: 1}))
		counting := workflow.New("counting", add("one"))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1, "metrics": 9}}, ignoring, counting)

		began := time.Now()
		run := start(t, node, ignoring)
		if ended := fails(t, run); !strings.Contains(ended.Reason, "ignored its cancelled context") {
			t.Errorf("reason is %q", ended.Reason)
		}
		if took := time.Since(began); took != time.Second+grace {
			t.Errorf("the run failed after %s, want the timeout and the grace of %s", took, grace)
		}

		next := start(t, node, counting) // the only slot of its queue is lost
		time.Sleep(time.Minute)
		wantState(t, node, next.ID(), workflow.Available)
		if err := node.Err(); err != nil {
			t.Errorf("one lost slot of ten ended the node: %v", err)
		}
		if lost := node.Stats().LostSlots; lost != 1 {
			t.Errorf("the node counts %d lost slots, want 1", lost)
		}

		deaf.open()
		finish(t, next)
		if got := history(t, node, run.ID()); !slices.Equal(got, []string{"deaf failed"}) {
			t.Errorf("the late answer changed the history: %v", got)
		}
		wantState(t, node, run.ID(), workflow.Failed)
		if lost := node.Stats().LostSlots; lost != 0 {
			t.Errorf("the node still counts %d lost slots", lost)
		}
	})
}

// The body returns at the very moment at which it is given up.
func TestSlotOfAStepThatReturnsWhenItIsGivenUpIsNotLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const limit = 2
		late := workflow.New("late", workflow.Do("late", func(context.Context, *count) error {
			time.Sleep(time.Second + grace)
			return nil
		}).Timeout(time.Second).Retry(workflow.Retry{Attempts: 1}))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": limit, "metrics": 90}}, late)
		for range 200 {
			_, _ = start(t, node, late).Wait(t.Context()) // completed or failed, whichever was first
		}
		wantFreeSlots(t, node, limit)
	})
}

func TestNodeGivesUpWhenTooManySlotsAreLost(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		deaf := newGate(t, "deaf")
		deaf.stubborn = true
		ignoring := workflow.New("ignoring", deaf.step().Timeout(time.Second).Retry(workflow.Retry{Attempts: 1}))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 8}}, ignoring)
		for range 2 {
			start(t, node, ignoring)
		}
		time.Sleep(time.Minute)
		if err := node.Err(); err != nil {
			t.Fatalf("two lost slots of eight ended the node: %v", err)
		}
		start(t, node, ignoring)
		<-node.Done()
		if err := node.Err(); err == nil || !strings.Contains(err.Error(), "3 of 8 slots are lost") {
			t.Errorf("the node ended with %v", err)
		}
		if err := node.Ready(t.Context()); err == nil {
			t.Error("the node says that it is ready")
		}
	})
}

// An abandoned body goes on when its run has left memory and come back. Its
// answer must not pass for the one of the attempt that runs now.
func TestLateAnswerOfAnEarlierActivationIsDropped(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		var attempts atomic.Int32
		first, second := newGate(t, "step"), newGate(t, "step")
		first.stubborn = true
		twice := workflow.New("twice", workflow.Do("step", func(_ context.Context, s *count) error {
			gate := second
			if attempts.Add(1) == 1 {
				gate = first
				s.Trail = append(s.Trail, "late")
			}
			<-gate.opened
			s.N++
			return nil
		}).Timeout(time.Minute).Retry(workflow.Retry{Delays: []time.Duration{10 * time.Second}}))
		node := startNode(t, memory.New(), Config{}, twice)
		run := start(t, node, twice)
		for attempts.Load() < 2 {
			time.Sleep(time.Second)
		}
		first.open()
		synctest.Wait()
		wantState(t, node, run.ID(), workflow.Running)
		second.open()
		if out := finish(t, run); out.N != 1 || out.Trail != nil {
			t.Errorf("the run took over the late answer: %+v", out)
		}
	})
}

func TestStateThatCannotBeStoredFailsItsRunClearly(t *testing.T) {
	t.Parallel()
	type odd struct {
		F    float64
		Text string
	}
	tests := []struct {
		name  string
		spoil func(*odd)
		want  string
	}{
		{"not a number", func(s *odd) { s.F = math.NaN() }, "NaN"},
		{"too large", func(s *odd) { s.Text = strings.Repeat("x", workflow.MaxState) }, "the limit is 1048576"},
	}
	for _, test := range tests {
		for _, level := range levels {
			t.Run(test.name+", "+string(level), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					spoiling := workflow.New("spoiling",
						workflow.Do("good", func(context.Context, *odd) error { return nil }),
						workflow.Do("spoil", func(_ context.Context, s *odd) error {
							test.spoil(s)
							return nil
						}),
						workflow.Do("last", func(context.Context, *odd) error { return nil })).Durability(level)
					node := startNode(t, memory.New(), Config{}, spoiling)
					run, err := spoiling.Start(t.Context(), node, odd{})
					if err != nil {
						t.Fatal(err)
					}
					if ended := fails(t, run); !strings.Contains(ended.Reason, test.want) {
						t.Errorf("reason is %q, want it to name %q", ended.Reason, test.want)
					}
				})
			})
		}
	}
}

// A restartable run stores its progress only when it leaves memory. If that
// cannot be stored it must not go on at a step whose state is lost.
func TestRestartableRunThatCannotLeaveMemoryFailsWhereItsRowStands(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		type big struct{ Text string }
		var ran []string
		step := func(name string, body func(*big) error) workflow.Step[big] {
			return workflow.Do(name, func(_ context.Context, s *big) error {
				ran = append(ran, fmt.Sprintf("%s with %d bytes", name, len(s.Text)))
				return body(s)
			}).Retry(workflow.Retry{Delays: []time.Duration{time.Hour}})
		}
		growing := workflow.New("growing",
			step("grow", func(s *big) error { s.Text = strings.Repeat("x", workflow.MaxState); return nil }),
			step("shrink", func(s *big) error {
				if len(ran) < 3 {
					return errors.New("not yet")
				}
				s.Text = ""
				return nil
			})).Durability(workflow.Restartable)
		node := startNode(t, memory.New(), Config{}, growing)
		run, err := growing.Start(t.Context(), node, big{})
		if err != nil {
			t.Fatal(err)
		}
		if ended := fails(t, run); !strings.Contains(ended.Reason, "the limit is 1048576") {
			t.Errorf("reason is %q", ended.Reason)
		}
		if row := read(t, node, run.ID()); row.Step != "grow" {
			t.Errorf("the row stands at step %q without its state, want at the first", row.Step)
		}
		if _, err := node.Retry(t.Context(), run.ID()); err != nil {
			t.Fatal(err)
		}
		if _, err := run.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"grow with 0 bytes", "shrink with 1048576 bytes", "grow with 0 bytes", "shrink with 1048576 bytes"}
		if !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
	})
}

func TestRunWhoseCheckpointCannotBeStoredFailsAndItsNeighboursDoNot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		counting := workflow.New("counting", add("one"), add("two"))
		node := startNode(t, store, Config{}, counting)
		bad := workflow.NewRunID()
		store.beforeCommit(func(batch []persistence.Write) error {
			if has(batch, func(w persistence.Advance) bool { return w.Run == bad && w.Entry != nil && w.Entry.Step == "two" }) {
				return fmt.Errorf("%w: a surrogate half", persistence.ErrBadWrite)
			}
			return nil
		})
		run := startWith(t, node, counting, workflow.Options{ID: bad})
		var others []*workflow.Handle[count]
		for range 20 {
			others = append(others, start(t, node, counting))
		}
		if ended := fails(t, run); !strings.Contains(ended.Reason, "the outcome of step two cannot be stored") {
			t.Errorf("reason is %q", ended.Reason)
		}
		for _, other := range others {
			finish(t, other)
		}
		if row := read(t, node, bad); row.Step != "two" || row.State != workflow.Failed {
			t.Errorf("row is %+v", row)
		}
	})
}

func TestRunWhoseSummaryCannotBeStoredFailsWithoutOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		summing := workflow.New("summing", workflow.Do("one", func(ctx context.Context, _ *count) error {
			workflow.Summarize(ctx, workflow.Summary{Model: "odd"})
			return nil
		}))
		node := startNode(t, store, Config{}, summing)
		store.beforeCommit(func(batch []persistence.Write) error {
			if has(batch, func(w persistence.Advance) bool { return w.Summary != nil }) {
				return fmt.Errorf("%w: a model with a zero byte", persistence.ErrBadWrite)
			}
			return nil
		})
		if ended := fails(t, start(t, node, summing)); !strings.Contains(ended.Reason, "a model with a zero byte") {
			t.Errorf("reason is %q", ended.Reason)
		}
	})
}

// Not even the failure of this run can be stored. It must not keep a core busy.
func TestRunThatCannotEvenFailIsTriedAgainAtLeisure(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		var ran atomic.Int32
		counting := workflow.New("counting", workflow.Do("one", func(context.Context, *count) error {
			ran.Add(1)
			return nil
		}))
		node := startNode(t, store, Config{}, counting)
		store.beforeCommit(func(batch []persistence.Write) error {
			if has(batch, every[persistence.Advance]) {
				return persistence.ErrBadWrite
			}
			return nil
		})
		run := start(t, node, counting)
		time.Sleep(time.Minute)
		if n := ran.Load(); n < 2 || n > 60 {
			t.Errorf("the step ran %d times in a minute", n)
		}
		store.restore()
		finish(t, run)
	})
}

func TestRunWithoutItsNextStepWaitsAndGoesOnWithTheVersionThatHasIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		hold := newGate(t, "hold")
		old := workflow.New("growing", add("one"), hold.step(), add("gone"))
		node := startNode(t, store, Config{}, old)
		run := start(t, node, old)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := node.Stop(ctx); err != nil {
			t.Fatal(err)
		}

		without := workflow.New("growing", add("one"), add("other"))
		second := startNode(t, store, Config{}, without)
		time.Sleep(time.Second)
		row := wantState(t, second, run.ID(), workflow.Waiting)
		if row.Reason != workflow.ErrStepUnknown.Error() || row.Step != "hold" {
			t.Errorf("the run waits at %q for %q", row.Step, row.Reason)
		}
		stopNode(t, second)

		third := startNode(t, store, Config{}, old)
		hold.open()
		if _, err := third.Retry(t.Context(), run.ID()); err != nil {
			t.Fatal(err)
		}
		handle, err := old.Handle(t.Context(), third, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if out := finish(t, handle); !slices.Equal(out.Trail, []string{"one", "hold", "gone"}) {
			t.Errorf("got %+v", out)
		}
	})
}

func TestEachVersionRunsItsOwnSteps(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		one := workflow.New("growing", add("a"), add("b"))
		two := workflow.New("growing", add("x"), add("y")).Version(2)

		first := startNode(t, store, Config{}, one)
		run := startWith(t, first, one, workflow.Options{Due: time.Now().Add(time.Minute)})
		stopNode(t, first)

		second, err := NewNode(store, Config{Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopNode(t, second) })
		time.Sleep(2 * time.Minute)
		wantState(t, second, run.ID(), workflow.Scheduled) // nobody here knows it
		if err := second.Register(two, one); err != nil {
			t.Fatal(err)
		}
		handle, err := one.Handle(t.Context(), second, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if out := finish(t, handle); !slices.Equal(out.Trail, []string{"a", "b"}) {
			t.Errorf("version 1 left %v", out.Trail)
		}
		if out := finish(t, start(t, second, two)); !slices.Equal(out.Trail, []string{"x", "y"}) {
			t.Errorf("version 2 left %v", out.Trail)
		}
	})
}
