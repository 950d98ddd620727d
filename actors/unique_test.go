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

// onlyOne makes a start one that is the only one of its workflow.
func onlyOne(onConflict workflow.OnConflict) workflow.Options {
	return workflow.Options{Unique: workflow.Unique{By: workflow.ByWorkflow, OnConflict: onConflict}}
}

func TestUniqueStartAttachesOrIsRejected(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step())
		node := startNode(t, memory.New(), Config{}, holding)
		first := startWith(t, node, holding, onlyOne(workflow.Attach))
		synctest.Wait()
		if hold.entered.Load() != 1 {
			t.Fatal("a unique start with a free slot did not begin at once")
		}
		if second := startWith(t, node, holding, onlyOne("")); second.ID() != first.ID() || !second.Attached() {
			t.Error("a second start did not attach to the first")
		}
		if replacing := startWith(t, node, holding, onlyOne(workflow.Replace)); replacing.ID() != first.ID() {
			t.Error("a run that has begun was replaced")
		}
		var refusal *workflow.UniqueError
		_, err := holding.StartWith(t.Context(), node, count{}, onlyOne(workflow.Reject))
		if !errors.As(err, &refusal) || refusal.Run != first.ID() || refusal.By != workflow.ByWorkflow {
			t.Errorf("a start that is to be rejected answered %v", err)
		}
		hold.open()
		finish(t, first)
		if again := startWith(t, node, holding, onlyOne(workflow.Attach)); again.ID() == first.ID() {
			t.Error("a start after the end attached to the run that has ended")
		}
		synctest.Wait()
		wantFreeSlots(t, node, 10)
	})
}

func TestUniqueWithinATimeCoversTheCompletedRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		quick := workflow.New("quick", add("one"))
		node := startNode(t, memory.New(), Config{}, quick)
		hourly := workflow.Options{Unique: workflow.Unique{By: workflow.ByInput, Within: time.Hour}}
		first := startWith(t, node, quick, hourly)
		finish(t, first)
		time.Sleep(59 * time.Minute)
		if again := startWith(t, node, quick, hourly); again.ID() != first.ID() {
			t.Error("within the hour there was another run")
		}
		other, err := quick.StartWith(t.Context(), node, count{N: 7}, hourly)
		if err != nil || other.ID() == first.ID() {
			t.Errorf("another input is in the way of none, got run %v, %v", other, err)
		}
		time.Sleep(2 * time.Minute)
		if again := startWith(t, node, quick, hourly); again.ID() == first.ID() {
			t.Error("after the hour the first run is still in the way")
		}
	})
}

func TestWhoWaitsForAReplacedRunHearsOfIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		quick := workflow.New("quick", add("one"))
		node := startNode(t, memory.New(), Config{}, quick)
		later := onlyOne(workflow.Replace)
		later.Delay = time.Hour
		first := startWith(t, node, quick, later)
		ended := make(chan workflow.RunError, 1)
		go func() { ended <- fails(t, first) }()
		synctest.Wait()
		begun := time.Now()
		second := startWith(t, node, quick, onlyOne(workflow.Replace))
		if got := <-ended; got.State != workflow.Cancelled || got.Reason != persistence.ReplacedBy(second.ID()) {
			t.Errorf("the replaced run ended as %+v, want cancelled for %s", got, second.ID())
		}
		if waited := time.Since(begun); waited >= rereadEvery {
			t.Errorf("it took %s to hear of it", waited)
		}
		finish(t, second)
	})
}

func TestUniqueStartThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	quick := workflow.New("quick", add("one"))
	fleeting := workflow.New("fleeting", add("one")).Durability(workflow.Ephemeral)
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{}, quick, fleeting)
		for _, test := range []struct {
			w      *workflow.Workflow[count, count]
			unique workflow.Unique
			field  string
		}{
			{fleeting, workflow.Unique{By: workflow.ByInput}, "unique"},
			{quick, workflow.Unique{Within: time.Hour}, "unique.by"},
			{quick, workflow.Unique{By: 1 << 7}, "unique.by"},
			{quick, workflow.Unique{By: workflow.ByKey | workflow.ByQueue}, "unique.by"},
			{quick, workflow.Unique{By: workflow.ByInput, Within: -1}, "unique.within"},
			{quick, workflow.Unique{By: workflow.ByInput, OnConflict: "shout"}, "unique.on_conflict"},
		} {
			_, err := test.w.StartWith(t.Context(), node, count{}, workflow.Options{Unique: test.unique})
			var refusal *workflow.InputError
			if !errors.As(err, &refusal) || refusal.Field != test.field {
				t.Errorf("%+v: %v, want a refusal of %s", test.unique, err, test.field)
			}
		}
	})
}

func TestUniqueKeyTellsApartWhatIsNotTheSame(t *testing.T) {
	t.Parallel()
	const all = workflow.ByWorkflow | workflow.ByQueue | workflow.ByKey | workflow.ByInput
	base := persistence.Insert{Workflow: "order", Queue: "default", Key: "k", InputHash: [32]byte{1}}
	other := map[workflow.UniqueBy]persistence.Insert{}
	for by, change := range map[workflow.UniqueBy]func(*persistence.Insert){
		workflow.ByWorkflow: func(w *persistence.Insert) { w.Workflow = "refund" },
		workflow.ByQueue:    func(w *persistence.Insert) { w.Queue = "metrics" },
		workflow.ByKey:      func(w *persistence.Insert) { w.Key = "l" },
		workflow.ByInput:    func(w *persistence.Insert) { w.InputHash = [32]byte{2} },
	} {
		changed := base
		change(&changed)
		other[by] = changed
	}
	for by := workflow.UniqueBy(1); by <= all; by++ {
		for changed, insert := range other {
			if same := uniqueKey(by, base) == uniqueKey(by, insert); same == (by&changed != 0) {
				t.Errorf("unique by %s: another %s, the same key: %t", by, changed, same)
			}
		}
	}
	moved := base
	moved.Workflow, moved.Queue = "orderd", "efault"
	if by := workflow.ByWorkflow | workflow.ByQueue; uniqueKey(by, base) == uniqueKey(by, moved) {
		t.Error("text that moved from one part to another has the same key")
	}
}
