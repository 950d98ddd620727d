package actors

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// pendingStart starts a run, and returns when its insert is on its way and its
// actor is there. The insert lands when nil is sent, and is refused with any
// other error; a repeated one passes.
func pendingStart(t *testing.T, store *faultyStore, node *Node, w *workflow.Workflow[count, count], id workflow.RunID) (verdict chan<- error, answered <-chan error) {
	t.Helper()
	block, answers := make(chan error), make(chan error, 1)
	var first sync.Once
	store.beforeCommit(func(batch []persistence.Write) (err error) {
		if has(batch, func(insert persistence.Insert) bool { return insert.Run == id }) {
			first.Do(func() { err = <-block })
		}
		return err
	})
	go func() {
		_, err := w.StartWith(t.Context(), node, count{}, workflow.Options{ID: id})
		answers <- err
	}()
	synctest.Wait()
	if !inMemory(node, id) {
		t.Fatal("the run has no actor while its insert is on its way")
	}
	return block, answers
}

func TestRunBeginsWhenItsInsertHasLanded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, hold, id := newFaultyStore(), newGate(t, "hold"), workflow.NewRunID()
		holding := workflow.New("holding", hold.step())
		node := startNode(t, store, Config{}, holding)
		time.Sleep(time.Second)
		land, answered := pendingStart(t, store, node, holding, id)
		if time.Sleep(20 * time.Second); hold.entered.Load() != 0 {
			t.Fatal("the first step began before the run was stored")
		}
		land <- nil
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); hold.entered.Load() != 1 {
			t.Errorf("the first step began %d times after the insert had landed, want once", hold.entered.Load())
		}
	})
}

func TestRefusedInsertLeavesNoActorAndNoSlotTaken(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, hold, id := newFaultyStore(), newGate(t, "hold"), workflow.NewRunID()
		holding := workflow.New("holding", hold.step())
		node := startNode(t, store, Config{Queues: map[string]int{"default": 1}}, holding)
		time.Sleep(time.Second)
		refuse, answered := pendingStart(t, store, node, holding, id)
		refuse <- persistence.ErrBadWrite
		if err := <-answered; !errors.Is(err, persistence.ErrBadWrite) {
			t.Fatalf("the start answered %v, want %v", err, persistence.ErrBadWrite)
		}
		if synctest.Wait(); inMemory(node, id) {
			t.Error("the refused run has an actor")
		}
		next := start(t, node, holding)
		if synctest.Wait(); hold.inside.Load() != 1 {
			t.Error("the next run did not get the slot")
		}
		hold.open()
		finish(t, next)
	})
}

// Who starts the run asks the restarted dispatcher again, with the same id.
func TestInsertThatIsRefusedWhileTheDispatcherRestartsIsRepeated(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store, hold, id := newFaultyStore(), newGate(t, "hold"), workflow.NewRunID()
		holding := workflow.New("holding", hold.step())
		node := startNode(t, store, Config{}, holding)
		time.Sleep(time.Second)
		refuse, answered := pendingStart(t, store, node, holding, id)
		crash(node, "dispatcher")
		synctest.Wait()
		refuse <- persistence.ErrBadWrite
		if err := <-answered; err != nil {
			t.Fatalf("the repeated start answered %v", err)
		}
		if time.Sleep(20 * time.Second); hold.inside.Load() != 1 || hold.entered.Load() != 1 {
			t.Errorf("the run began %d times, want once", hold.entered.Load())
		}
	})
}
