package actors

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestStartWithAKeyInUse(t *testing.T) {
	t.Parallel()
	keyed := workflow.Options{Key: "order-7"}
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, memory.New(), Config{}, holding)
		first := startWith(t, node, holding, keyed)
		synctest.Wait()

		attached := startWith(t, node, holding, keyed)
		if attached.ID() != first.ID() || !attached.Attached() || first.Attached() {
			t.Error("a second start with the key and input did not attach to the first")
		}
		_, err := holding.StartWith(t.Context(), node, count{N: 1}, keyed)
		var conflict *workflow.KeyConflictError
		if !errors.As(err, &conflict) || conflict.Run != first.ID() {
			t.Errorf("the key with another input answered %v", err)
		}
		hold.open()
		finish(t, attached)
		again := startWith(t, node, holding, keyed)
		if finish(t, again); again.ID() != first.ID() {
			t.Error("a start after the completion did not return the first result")
		}
		if n := hold.entered.Load(); n != 1 {
			t.Errorf("the step ran %d times", n)
		}
	})
}

func TestKeyIsFreeAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		failing := workflow.New("failing", workflow.Do("fail", func(context.Context, *count) error {
			return workflow.Permanent(errors.New("no"))
		}))
		node := startNode(t, memory.New(), Config{}, failing)
		keyed := workflow.Options{Key: "order-7"}
		first := startWith(t, node, failing, keyed)
		fails(t, first)
		second := startWith(t, node, failing, keyed)
		if second.ID() == first.ID() {
			t.Fatal("a start after the failure attached to the failed run")
		}
		hold := workflow.Options{Key: "order-7", Due: time.Now().Add(time.Hour)}
		fails(t, second)
		third := startWith(t, node, failing, hold)
		_, err := node.Retry(t.Context(), first.ID())
		var conflict *workflow.KeyConflictError
		if !errors.As(err, &conflict) || conflict.Run != third.ID() {
			t.Errorf("retry of a run whose key has passed on answered %v", err)
		}
	})
}

func TestStartRepeatedWithTheSameIDIsOneRun(t *testing.T) {
	t.Parallel()
	for _, level := range levels {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				const limit = 2
				hold := newGate(t, "hold")
				holding := workflow.New("holding", hold.step()).Durability(level)
				other := workflow.New("other", add("one")).Durability(level)
				node := startNode(t, memory.New(), Config{Queues: map[string]int{"default": limit}}, holding, other)
				time.Sleep(time.Second)
				options := workflow.Options{ID: workflow.NewRunID()}

				var starts sync.WaitGroup
				for range 20 {
					starts.Go(func() {
						if run := startWith(t, node, holding, options); run.ID() != options.ID {
							t.Error("another id")
						}
					})
				}
				starts.Wait()
				synctest.Wait()
				if n := hold.entered.Load(); n != 1 {
					t.Errorf("the step was entered %d times", n)
				}
				late := startWith(t, node, holding, options)
				if !late.Attached() {
					t.Error("a late start does not say that the run was there")
				}
				var conflict *workflow.KeyConflictError
				if _, err := holding.StartWith(t.Context(), node, count{N: 1}, options); !errors.As(err, &conflict) {
					t.Errorf("the id with another input answered %v", err)
				}
				if _, err := other.StartWith(t.Context(), node, count{}, options); !errors.As(err, &conflict) {
					t.Errorf("the id with another workflow answered %v", err)
				}
				hold.open()
				finish(t, late)
				if finish(t, startWith(t, node, holding, options)); hold.entered.Load() != 1 {
					t.Error("a start after the end ran it again")
				}
				wantFreeSlots(t, node, limit)
			})
		})
	}
}
