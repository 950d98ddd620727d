package actors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestRunsAreRetriedByAFilterPageByPage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		broken := true
		flaky := workflow.New("flaky", workflow.Do("try", func(context.Context, *count) error {
			if broken {
				return workflow.Permanent(errors.New("no"))
			}
			return nil
		}))
		node := startNode(t, memory.New(), Config{}, flaky)
		for range 5 {
			fails(t, start(t, node, flaky))
		}
		time.Sleep(time.Second) // for ids after those
		keyed := workflow.Options{Key: "k"}
		lost := startWith(t, node, flaky, keyed)
		fails(t, lost)
		keyed.Delay = time.Hour
		holder := startWith(t, node, flaky, keyed)
		broken = false

		filter := workflow.Filter{Workflow: "flaky", Limit: 4}
		first, err := node.RetryRuns(t.Context(), filter)
		if err != nil || first.Matched != 4 || first.Changed != 3 || first.Next.IsZero() {
			t.Fatalf("first page %+v, %v, want 3 of 4 changed, and more", first, err)
		}
		var conflict *workflow.KeyConflictError
		if len(first.Refused) != 1 || first.Refused[0].Run != lost.ID() || !errors.As(first.Refused[0].Err, &conflict) || conflict.Run != holder.ID() {
			t.Errorf("refused %+v, want run %s whose key has passed on", first.Refused, lost.ID())
		}
		filter.Before = first.Next
		second, err := node.RetryRuns(t.Context(), filter)
		if err != nil || second.Matched != 2 || second.Changed != 2 || !second.Next.IsZero() {
			t.Fatalf("second page %+v, %v, want the other 2", second, err)
		}
		synctest.Wait()
		page, err := node.Runs(t.Context(), workflow.Filter{States: []workflow.State{workflow.Completed}})
		if err != nil || len(page.Runs) != 5 {
			t.Errorf("%d runs completed, %v, want 5", len(page.Runs), err)
		}
	})
}

func TestRunsAreCancelledByAFilterWhereverTheyStand(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding, other := workflow.New("holding", hold.step()), workflow.New("other", hold.step())
		node := startNode(t, memory.New(), Config{}, holding, other)
		running := start(t, node, holding)
		later := startWith(t, node, holding, workflow.Options{Delay: time.Hour})
		spared := start(t, node, other)
		synctest.Wait()
		ended := make(chan workflow.RunError, 2)
		for _, run := range []*workflow.Handle[count]{running, later} {
			go func() { ended <- fails(t, run) }()
		}
		synctest.Wait()
		begun := time.Now()
		changes, err := node.CancelRuns(t.Context(), workflow.Filter{Workflow: "holding"}, "enough")
		if err != nil || changes.Matched != 2 || changes.Changed != 2 || len(changes.Refused) != 0 {
			t.Fatalf("changes %+v, %v, want 2 runs", changes, err)
		}
		for range 2 {
			if got := <-ended; got.State != workflow.Cancelled || got.Reason != "enough" {
				t.Errorf("ended as %+v", got)
			}
		}
		if waited := time.Since(begun); waited >= rereadEvery {
			t.Errorf("it took %s to hear of it", waited)
		}
		synctest.Wait()
		if hold.ended.Load() != 1 {
			t.Errorf("%d steps had their context cancelled, want that of the run", hold.ended.Load())
		}
		hold.open()
		finish(t, spared)
	})
}

func TestChangesOfAllRunsAreRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{})
		if _, err := node.CancelRuns(t.Context(), workflow.Filter{Limit: 1}, ""); !isInput(err) {
			t.Errorf("cancel: %v", err)
		}
		if _, err := node.RetryRuns(t.Context(), workflow.Filter{}); !isInput(err) {
			t.Errorf("retry: %v", err)
		}
	})
}

func TestChangesThatTheStoreDoesNotTakeAreAnError(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		quick := workflow.New("quick", add("one"))
		store := newFaultyStore()
		node := startNode(t, store, Config{}, quick)
		run := startWith(t, node, quick, workflow.Options{Delay: time.Hour})
		store.beforeCommit(func([]persistence.Write) error { return errDown })
		changes, err := node.CancelRuns(t.Context(), workflow.Filter{Workflow: "quick"}, "")
		if !errors.Is(err, workflow.ErrUnavailable) || changes.Changed != 0 || len(changes.Refused) != 0 {
			t.Errorf("changes %+v, %v, want the store's error", changes, err)
		}
		store.restore()
		wantState(t, node, run.ID(), workflow.Scheduled)
	})
}
