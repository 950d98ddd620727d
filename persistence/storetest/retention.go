package storetest

import (
	"errors"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var retentionStories = []story{
	{name: "retention/each state has its age", tell: pruneByState},
	{name: "retention/runs that go on are never pruned", tell: pruneSparesUnfinished},
	{name: "retention/deletes what belongs to a run", tell: pruneDeletesAll},
	{name: "retention/stops at its limit and goes on", tell: pruneLimit},
	{name: "retention/a waiting message outlives its run", tell: pruneSparesMessages},
	{name: "retention/by default nothing new is pruned", tell: pruneDefaults},
}

// A policy with an age below zero takes in what ends within that time.
const (
	expired = -time.Minute
	kept    = time.Hour
)

func (f *fixture) prune(policy persistence.RetentionPolicy, limit int) int {
	f.Helper()
	deleted, err := f.store.Prune(f.Context(), policy, limit)
	if err != nil {
		f.Fatalf("prune: %v", err)
	}
	return deleted
}

func (f *fixture) gone(id workflow.RunID) bool {
	f.Helper()
	_, err := f.store.Run(f.Context(), id)
	if err != nil && !errors.Is(err, workflow.ErrRunNotFound) {
		f.Fatalf("read run %s: %v", id, err)
	}
	return err != nil
}

func pruneByState(f *fixture) {
	runs := map[workflow.State]workflow.RunID{}
	for _, state := range workflow.States {
		if state.Terminal() {
			runs[state] = f.reach(state).fence.Run
		}
	}
	check := func(policy persistence.RetentionPolicy, deleted int, gone ...workflow.State) {
		f.Helper()
		if got := f.prune(policy, 100); got != deleted {
			f.Errorf("prune %+v deleted %d runs, want %d", policy, got, deleted)
		}
		for _, state := range gone {
			if !f.gone(runs[state]) {
				f.Errorf("prune %+v left the %s run", policy, state)
			}
		}
	}
	check(persistence.RetentionPolicy{Completed: kept, Failed: kept}, 0)
	check(persistence.RetentionPolicy{Completed: expired, Failed: kept}, 2, workflow.Completed, workflow.Cancelled)
	check(persistence.RetentionPolicy{Completed: kept, Failed: expired}, 2, workflow.Failed, workflow.Quarantined)
}

func pruneSparesUnfinished(f *fixture) {
	for _, state := range workflow.States {
		if !state.Terminal() {
			f.reach(state)
		}
	}
	retried := f.reach(workflow.Failed).fence.Run
	f.land(persistence.Retry{Run: retried})
	if got := f.prune(persistence.RetentionPolicy{Completed: expired, Failed: expired}, 100); got != 0 {
		f.Errorf("deleted %d runs that go on", got)
	}
}

func pruneDeletesAll(f *fixture) {
	boot := f.join("a")
	first := f.keyed("k")
	first.Owner = boot
	f.land(first)
	w := completion(persistence.Fence{Run: first.Run, Boot: boot, Epoch: 1})
	w.Entry.Facts = []workflow.Fact{{Kind: "cost", Doc: []byte(`1`)}}
	w.Summary = &workflow.Summary{Model: "m"}
	f.land(w)
	f.prune(persistence.RetentionPolicy{Completed: expired, Failed: kept}, 100)
	if !f.gone(first.Run) {
		f.Fatalf("the run is still there")
	}
	if _, err := f.store.Steps(f.Context(), first.Run); !errors.Is(err, workflow.ErrRunNotFound) {
		f.Errorf("steps: %v, want %v", err, workflow.ErrRunNotFound)
	}
	if result, found := f.jobResult(first.Run); found {
		f.Errorf("job result %+v, want none", result)
	}
	if verdict := f.land(first); verdict.Existing != nil {
		f.Errorf("the id or the key still belongs to the pruned run")
	}
	if steps := f.steps(first.Run); len(steps) != 0 {
		f.Errorf("a new run with the id of a pruned one has its history: %+v", steps)
	}
}

func pruneLimit(f *fixture) {
	boot := f.join("a")
	for range 5 {
		f.land(completion(f.started(boot)))
	}
	for _, want := range []int{2, 2, 1, 0} {
		if got := f.prune(persistence.RetentionPolicy{Completed: expired}, 2); got != want {
			f.Errorf("deleted %d runs, want %d", got, want)
		}
	}
}

func pruneSparesMessages(f *fixture) {
	boot := f.join("a")
	epoch := f.register("desk", boot)
	w := completion(f.started(boot))
	w.Entry.Messages = []workflow.Message{message("desk", "1"), message("desk", "2")}
	f.land(w)
	f.land(persistence.Acknowledge{Agent: "desk", Epoch: epoch, MessageID: "1"})
	f.send(message("desk", "1")) // still known, although it is done
	if waiting := f.agent("desk").Waiting; waiting != 1 {
		f.Fatalf("%d messages wait, want 1", waiting)
	}
	f.prune(persistence.RetentionPolicy{Completed: expired, Failed: kept}, 100)
	if messages := f.inbox("desk", 0, 10); len(messages) != 1 || messages[0].MessageID != "2" {
		f.Errorf("messages %+v, want the one that waits", messages)
	}
	f.send(message("desk", "1"))
	if waiting := f.agent("desk").Waiting; waiting != 2 {
		f.Errorf("%d messages wait, want 2: the done one is forgotten", waiting)
	}
}

func pruneDefaults(f *fixture) {
	for _, state := range workflow.States {
		f.reach(state)
	}
	if got := f.prune(persistence.RetentionPolicy{}, 100); got != 0 {
		f.Errorf("deleted %d runs that ended just now", got)
	}
}
