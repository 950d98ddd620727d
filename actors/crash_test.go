package actors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestActorThatPanicsGoesOnFromItsRow(t *testing.T) {
	t.Parallel()
	for _, level := range []workflow.Durability{workflow.Checkpointed, workflow.Restartable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				hold := newGate(t, "hold")
				holding := workflow.New("holding", add("one"), hold.step(), add("three")).Durability(level)
				node := startNode(t, memory.New(), Config{}, holding)
				run := start(t, node, holding)
				synctest.Wait()

				crash(node, runPID(run.ID()))
				synctest.Wait()
				if hold.ended.Load() != 1 {
					t.Error("the context of the step under way was not cancelled")
				}
				time.Sleep(time.Second)
				if hold.entered.Load() != 2 {
					t.Fatalf("the step was entered %d times, want again after the crash", hold.entered.Load())
				}
				if row := wantState(t, node, run.ID(), workflow.Running); row.Epoch != 2 || row.Crashes != 0 {
					t.Errorf("row has epoch %d and %d crashes, want a new epoch and no process death", row.Epoch, row.Crashes)
				}
				hold.open()
				if out := finish(t, run); !slices.Equal(out.Trail, []string{"one", "hold", "three"}) {
					t.Errorf("got %+v", out)
				}
				if level == workflow.Checkpointed {
					want := []string{"one completed", "hold completed", "three completed"}
					if got := history(t, node, run.ID()); !slices.Equal(got, want) {
						t.Errorf("history is %v, want each checkpoint once", got)
					}
				}
			})
		})
	}
}

func TestActorThatPanicsWithAWriteUnderWayDoesNotRepeatTheStep(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		var ran atomic.Int32
		counting := workflow.New("counting", workflow.Do("one", func(context.Context, *count) error {
			ran.Add(1)
			return nil
		}), add("two"))
		node := startNode(t, store, Config{}, counting)
		store.beforeCommit(func(batch []persistence.Write) error {
			if has(batch, finishes("one")) {
				<-block
			}
			return nil
		})
		run := start(t, node, counting)
		synctest.Wait()
		crash(node, runPID(run.ID()))
		time.Sleep(time.Second)
		close(block)
		finish(t, run)
		if ran.Load() != 1 {
			t.Errorf("step one ran %d times although its checkpoint landed", ran.Load())
		}
		if got := history(t, node, run.ID()); !slices.Equal(got, []string{"one completed", "two completed"}) {
			t.Errorf("history is %v", got)
		}
	})
}

// The hardest crash: the body of the first start goes on in spite of its
// context, and the second start has its checkpoint on the way to the store.
func TestActorThatPanicsWithAStepAndAWriteUnderWayCompletesOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		deaf := newGate(t, "deaf")
		var ran atomic.Int32
		holding := workflow.New("holding", workflow.Do("step", func(_ context.Context, s *count) error {
			if n := ran.Add(1); n == 1 {
				<-deaf.opened
				s.Trail = append(s.Trail, "late")
			}
			s.N++
			return nil
		}), add("two"))
		node := startNode(t, store, Config{}, holding)
		run := start(t, node, holding)
		synctest.Wait()
		crash(node, runPID(run.ID()))
		store.beforeCommit(func(batch []persistence.Write) error {
			if has(batch, finishes("step")) {
				<-block
			}
			return nil
		})
		time.Sleep(time.Second) // the second start has run the step
		crash(node, runPID(run.ID()))
		synctest.Wait()
		deaf.open()
		synctest.Wait()
		close(block)
		if out := finish(t, run); out.N != 2 || !slices.Equal(out.Trail, []string{"two"}) {
			t.Errorf("got %+v, want nothing of the late answer", out)
		}
		if ran.Load() != 2 {
			t.Errorf("the step ran %d times, want once more after the first crash", ran.Load())
		}
		if got := history(t, node, run.ID()); !slices.Equal(got, []string{"step completed", "two completed"}) {
			t.Errorf("history is %v", got)
		}
	})
}

func TestStepThatSurvivesTheCrashOfItsActorCostsASlot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		deaf := newGate(t, "deaf")
		var ran atomic.Int32
		holding := workflow.New("holding", workflow.Do("step", func(context.Context, *count) error {
			if ran.Add(1) == 1 {
				<-deaf.opened
			}
			return nil
		}))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1, "metrics": 9}}, holding)
		run := start(t, node, holding)
		synctest.Wait()
		crash(node, runPID(run.ID()))
		finish(t, run)
		time.Sleep(2 * grace)
		next := start(t, node, holding)
		time.Sleep(time.Minute)
		wantState(t, node, next.ID(), workflow.Available)
		deaf.open()
		finish(t, next)
	})
}

func TestEphemeralRunFailsWithItsActor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step()).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{}, holding)
		run := start(t, node, holding)
		synctest.Wait()
		crash(node, runPID(run.ID()))
		if ended := fails(t, run); !strings.Contains(ended.Reason, "crashed") {
			t.Errorf("reason is %q", ended.Reason)
		}
	})
}

// trap is a logger that panics inside the actors that log a message.
type trap struct {
	slog.Handler
	message string
}

func (h trap) Enabled(context.Context, slog.Level) bool { return true }

func (h trap) Handle(_ context.Context, record slog.Record) error {
	if record.Message == h.message {
		panic("the log is haunted")
	}
	return nil
}

func (h trap) WithAttrs([]slog.Attr) slog.Handler { return h }

func TestRunWhoseActorKeepsCrashingFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		failing := workflow.New("failing", add("one"), workflow.Do("fail", func(context.Context, *count) error {
			return errors.New("no")
		}))
		counting := workflow.New("counting", add("one"))
		log := slog.New(trap{slog.DiscardHandler, "attempt failed"})
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 1}, Logger: log}, failing, counting)
		run := start(t, node, failing)
		ended := fails(t, run)
		if !strings.Contains(ended.Reason, "keeps crashing") || !strings.Contains(ended.Reason, "haunted") {
			t.Errorf("reason is %q", ended.Reason)
		}
		if got := history(t, node, run.ID()); !slices.Equal(got, []string{"one completed"}) {
			t.Errorf("history is %v", got)
		}
		finish(t, start(t, node, counting)) // the slot is free again

		again, err := failing.Handle(t.Context(), node, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if fails(t, again); time.Since(began) != 0 {
			t.Error("a wait after the end took time")
		}
		began = time.Now()
		if fails(t, run); time.Since(began) != 0 {
			t.Error("another wait by the one who started it took time")
		}
	})
}

func TestDispatcherThatPanicsLosesNothingAndKeepsItsLimits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		const limit = 3
		hold, brief := newGate(t, "hold"), newGate(t, "brief")
		stored := workflow.New("stored", hold.step())
		passing := workflow.New("passing", brief.step()).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": limit, "metrics": limit}}, stored, passing)
		in := func(queue string) workflow.Options { return workflow.Options{Queue: queue} }

		var runs []*workflow.Handle[count]
		for range 3 * limit {
			runs = append(runs, start(t, node, stored), startWith(t, node, passing, in("metrics")))
		}
		synctest.Wait()
		for range 3 {
			crash(node, "dispatcher")
			// It is asked while it is away.
			runs = append(runs, start(t, node, stored), startWith(t, node, passing, in("metrics")))
			time.Sleep(5 * time.Second)
		}
		hold.open()
		brief.open()
		for _, run := range runs {
			finish(t, run)
		}
		if hold.entered.Load() != int32(len(runs)/2) || brief.entered.Load() != int32(len(runs)/2) {
			t.Errorf("steps were entered %d and %d times for %d runs", hold.entered.Load(), brief.entered.Load(), len(runs))
		}
		if hold.most.Load() > limit || brief.most.Load() > limit {
			t.Errorf("%d and %d runs at once, the limit is %d", hold.most.Load(), brief.most.Load(), limit)
		}

		again := newGate(t, "again")
		refill := workflow.New("refill", again.step())
		if err := node.Register(refill); err != nil {
			t.Fatal(err)
		}
		for range 2 * limit {
			start(t, node, refill)
		}
		time.Sleep(time.Minute)
		if again.inside.Load() != limit {
			t.Errorf("%d slots are in use, want all %d", again.inside.Load(), limit)
		}
	})
}

func TestDispatcherThatPanicsWithAClaimAndAnInsertUnderWay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, block := newFaultyStore(), make(chan struct{})
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, store, Config{Queues: map[string]int{"default": 2}}, holding)
		time.Sleep(time.Second)
		store.beforeCommit(func([]persistence.Write) error { <-block; return nil })

		var asked sync.WaitGroup
		asked.Go(func() {
			if _, err := holding.Start(t.Context(), node, count{}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // the insert is under way
		node.tellDispatcher(released{queue: "default"})
		synctest.Wait() // and so is a claim
		crash(node, "dispatcher")
		time.Sleep(5 * time.Second)
		close(block)
		asked.Wait()
		time.Sleep(10 * time.Second)
		for range 6 {
			start(t, node, holding)
		}
		time.Sleep(time.Minute)
		if hold.most.Load() != 2 || hold.inside.Load() != 2 {
			t.Errorf("%d runs at once, %d now, want the limit of 2", hold.most.Load(), hold.inside.Load())
		}
	})
}

// The restarted dispatcher cannot count a run whose own actor waits to be
// restarted. It adopts the run, and the other actor must not come back.
func TestDispatcherAdoptsARunWhoseActorWaitsToBeRestarted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": 2}}, holding)
		run := start(t, node, holding)
		synctest.Wait()
		for range 6 { // the pool waits seconds before the next restart
			crash(node, runPID(run.ID()))
			for synctest.Wait(); !inMemory(node, run.ID()); synctest.Wait() {
				time.Sleep(100 * time.Millisecond)
			}
		}
		crash(node, runPID(run.ID()))
		crash(node, "dispatcher")
		time.Sleep(time.Minute)
		if n := hold.inside.Load(); n != 1 {
			t.Fatalf("the step is under way %d times", n)
		}
		entered := hold.entered.Load()
		hold.open()
		finish(t, run)
		if hold.entered.Load() != entered {
			t.Error("the step ran again")
		}
		wantFreeSlots(t, node, 2)
	})
}

func TestDispatcherThatPanicsWhileTheNodeDrains(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		hold := newGate(t, "hold")
		holding := workflow.New("holding", add("one"), hold.step(), add("three"))
		passing := workflow.New("passing", hold.step()).Durability(workflow.Ephemeral)
		node := startNode(t, store, Config{}, holding, passing)
		run, brief := start(t, node, holding), start(t, node, passing)
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			stopNode(t, node)
		}()
		synctest.Wait()
		crash(node, "dispatcher")
		time.Sleep(3 * time.Second)
		select {
		case <-stopped:
			t.Fatal("the node stopped while steps were under way")
		default:
		}
		hold.open()
		<-stopped
		finish(t, brief)
		row, err := store.Run(t.Context(), run.ID())
		if err != nil || row.State != workflow.Available || row.Step != "three" {
			t.Errorf("row is %+v, %v, want it handed over at step three", row, err)
		}
	})
}

func TestJournalThatPanicsLosesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		landed bool // before the panic
	}{{"before the commit", false}, {"after the commit", true}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store, one := newFaultyStore(), newGate(t, "one")
				counting := workflow.New("counting", one.step(), add("two"), add("three"))
				node := startNode(t, store, Config{}, counting)
				var panicked atomic.Int32
				haunt := func(batch []persistence.Write) error {
					if has(batch, finishes("one")) && panicked.Add(1) <= 3 {
						panic("the driver is haunted")
					}
					return nil
				}
				if test.landed {
					store.afterCommit(haunt)
				} else {
					store.beforeCommit(haunt)
				}
				var runs []*workflow.Handle[count]
				for range 5 {
					runs = append(runs, start(t, node, counting))
				}
				one.open()
				began := time.Now()
				for _, run := range runs {
					finish(t, run)
					if got := history(t, node, run.ID()); !slices.Equal(got, []string{"one completed", "two completed", "three completed"}) {
						t.Errorf("history is %v", got)
					}
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("recovery took %s", took)
				}
				if n := one.entered.Load(); test.landed && n != 5 {
					t.Errorf("step one ran %d times for 5 runs although its checkpoints landed", n)
				}
			})
		})
	}
}

func TestStartWhoseAnswerIsLostCanBeRepeated(t *testing.T) {
	t.Parallel()
	for _, level := range []workflow.Durability{workflow.Checkpointed, workflow.Restartable} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store := newFaultyStore()
				counting := workflow.New("counting", add("one")).Durability(level)
				node := startNode(t, store, Config{}, counting)
				time.Sleep(time.Second)
				store.afterCommit(func(batch []persistence.Write) error {
					if has(batch, every[persistence.Insert]) {
						store.restore()
						panic("the driver is haunted")
					}
					return nil
				})
				options := workflow.Options{ID: workflow.NewRunID()}
				if _, err := counting.StartWith(t.Context(), node, count{}, options); !errors.Is(err, workflow.ErrOutcomeUnknown) {
					t.Fatalf("start answered %v, want that the outcome is unknown", err)
				}
				run := startWith(t, node, counting, options)
				if out := finish(t, run); out.N != 1 {
					t.Errorf("got %+v", out)
				}
				if page, err := node.Runs(t.Context(), workflow.Filter{}); err != nil || len(page.Runs) != 1 {
					t.Errorf("%d runs, %v", len(page.Runs), err)
				}
			})
		})
	}
}

// Nobody repeats this start; the sweep finds the run.
func TestRunWhoseInsertWasNeverAnsweredRunsAllTheSame(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := newFaultyStore()
		counting := workflow.New("counting", add("one"))
		node := startNode(t, store, Config{}, counting)
		time.Sleep(605 * time.Second) // sweeps have become rare, and the next one is 26s away
		store.afterCommit(func(batch []persistence.Write) error {
			if has(batch, every[persistence.Insert]) {
				store.restore()
				panic("the driver is haunted")
			}
			return nil
		})
		options := workflow.Options{ID: workflow.NewRunID()}
		if _, err := counting.StartWith(t.Context(), node, count{}, options); !errors.Is(err, workflow.ErrOutcomeUnknown) {
			t.Fatal(err)
		}
		run, err := counting.Handle(t.Context(), node, options.ID)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		finish(t, run)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the run was found after %s", took)
		}
	})
}

func TestRunsOfADeadProcessGoOnInTheNext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		hold := newGate(t, "hold")
		holding := workflow.New("holding", add("one"), hold.step(), add("three"))
		dead := startNode(t, store, Config{Instance: "dead"}, holding)
		run := start(t, dead, holding)
		synctest.Wait()
		die(t, store, dead)

		next := startNode(t, store, Config{Instance: "next"}, holding)
		time.Sleep(time.Second)
		if row := wantState(t, next, run.ID(), workflow.Running); row.Owner != "next" || row.Crashes != 1 || row.Step != "hold" {
			t.Errorf("row is %+v", row)
		}
		hold.open() // of both
		handle, err := holding.Handle(t.Context(), next, run.ID())
		if err != nil {
			t.Fatal(err)
		}
		finish(t, handle)
		if got := history(t, next, run.ID()); !slices.Equal(got, []string{"one completed", "hold completed", "three completed"}) {
			t.Errorf("history is %v", got)
		}
		if row := read(t, next, run.ID()); row.Crashes != 0 {
			t.Errorf("a checkpoint left %d crashes", row.Crashes)
		}
		synctest.Wait() // for the dead node's step, which returned at the same moment
		if stats := dead.Stats(); stats.Fenced == 0 {
			t.Error("the dead node's late write was not refused: the test has missed it")
		}
	})
}

// sentinel is a workflow in whose first step three processes die.
func dieIn(t *testing.T, store *memory.Store, times int, w *workflow.Workflow[count, count]) workflow.RunID {
	t.Helper()
	var id workflow.RunID
	for i := range times {
		node := startNode(t, store, Config{}, w)
		if i == 0 {
			id = start(t, node, w).ID()
		}
		time.Sleep(time.Second)
		wantState(t, node, id, workflow.Running)
		die(t, store, node)
	}
	return id
}

func TestThirdDeathInTheSameStepQuarantinesTheRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		deadly := newGate(t, "deadly")
		killing := workflow.New("killing", deadly.step())
		id := dieIn(t, store, 3, killing)
		node := startNode(t, store, Config{}, killing)
		if row := wantState(t, node, id, workflow.Quarantined); row.Error == "" {
			t.Error("the run does not say why")
		}
		if n := deadly.entered.Load(); n != 3 {
			t.Errorf("the step was entered %d times", n)
		}
		if _, err := node.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		deadly.open()
		handle, err := killing.Handle(t.Context(), node, id)
		if err != nil {
			t.Fatal(err)
		}
		finish(t, handle)
	})
}

func TestRunOnItsThirdTryRunsAloneUntilItsNextCheckpoint(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		deadly, after := newGate(t, "deadly"), newGate(t, "after")
		killing := workflow.New("killing", deadly.step(), after.step())
		id := dieIn(t, store, 2, killing)

		var others atomic.Int32
		var together atomic.Bool
		ticking := workflow.New("ticking", workflow.Loop("tick", func(ctx context.Context, s *count) (bool, error) {
			others.Add(1)
			defer others.Add(-1)
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
			}
			s.N++
			together.CompareAndSwap(false, deadly.inside.Load() > 2) // two bodies of dead nodes are left
			return s.N == 100, ctx.Err()
		}))
		brief := workflow.New("brief", add("one"))

		node := startNode(t, store, Config{}, killing, ticking, brief)
		var runs []*workflow.Handle[count]
		for range 5 {
			runs = append(runs, start(t, node, ticking))
			runs = append(runs, startWith(t, node, ticking, workflow.Options{Queue: "metrics"}))
		}
		time.Sleep(5 * time.Second)
		if deadly.inside.Load() != 3 || others.Load() != 0 {
			t.Errorf("%d bodies of the run that killed two nodes, want 3; %d others beside it, want 0", deadly.inside.Load(), others.Load())
		}
		waiting := start(t, node, brief)
		time.Sleep(time.Second)
		wantState(t, node, waiting.ID(), workflow.Available)

		deadly.open()
		finish(t, waiting)
		wantState(t, node, id, workflow.Running) // in its second step, beside the others
		after.open()
		for _, run := range runs {
			finish(t, run)
		}
		if together.Load() {
			t.Error("another run was in a step at the same time")
		}
	})
}
