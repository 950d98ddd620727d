package storetest

import (
	"errors"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var retentionStories = []story{
	{name: "retention/each state has its age", tell: pruneByState},
	{name: "retention/states without an age are kept as their like", tell: pruneStatesTogether},
	{name: "retention/each queue may have ages of its own", tell: pruneByQueue},
	{name: "retention/what has expired is known before it is pruned", tell: pruneForetold},
	{name: "retention/its own runs are found while they last", tell: pruneUnderWay},
	{name: "retention/its own runs go with the next, and call for none", tell: pruneOwn},
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

// ages is a policy that has one for runs that completed or were cancelled, and
// one for the others.
func ages(completed, failed time.Duration) persistence.RetentionPolicy {
	return persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: completed, Failed: failed}}
}

// prune returns how many runs were deleted.
func (f *fixture) prune(policy persistence.RetentionPolicy, limit int) int {
	f.Helper()
	pruned, err := f.store.Prune(f.Context(), policy, limit)
	if err != nil {
		f.Fatalf("prune: %v", err)
	}
	return pruned.Runs
}

func (f *fixture) expired(policy persistence.RetentionPolicy) persistence.Expiry {
	f.Helper()
	found, err := f.store.Expired(f.Context(), policy)
	if err != nil {
		f.Fatalf("look for what has expired: %v", err)
	}
	return found
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
	check(ages(kept, kept), 0)
	each := ages(kept, kept)
	each.Cancelled, each.Quarantined = expired, expired
	check(each, 2, workflow.Cancelled, workflow.Quarantined)
	check(ages(expired, kept), 1, workflow.Completed)
	check(ages(kept, expired), 1, workflow.Failed)
}

func pruneStatesTogether(f *fixture) {
	for _, state := range workflow.States {
		if state.Terminal() {
			f.reach(state)
		}
	}
	if got := f.prune(ages(expired, kept), 100); got != 2 {
		f.Errorf("deleted %d runs, want those that completed and were cancelled", got)
	}
	if got := f.prune(ages(kept, expired), 100); got != 2 {
		f.Errorf("deleted %d runs, want those that failed and were quarantined", got)
	}
}

// completedIn completes a run in each of some queues.
func (f *fixture) completedIn(queues ...string) map[string]workflow.RunID {
	f.Helper()
	boot := f.join("a")
	runs := map[string]workflow.RunID{}
	for _, name := range queues {
		insert := f.draft()
		insert.Owner, insert.Queue = boot, name
		f.land(insert)
		f.land(completion(persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1}))
		runs[name] = insert.Run
	}
	return runs
}

func pruneByQueue(f *fixture) {
	runs := f.completedIn("a", "b", "c", "c2", "d")
	policy := ages(kept, kept)
	policy.Queues = map[string]persistence.RetentionAges{
		"a": {Failed: expired}, "b": {Completed: expired}, "c": {Completed: 2 * kept, Cancelled: expired}, "d": {Completed: expired},
	}
	if got := f.prune(policy, 100); got != 2 {
		f.Errorf("deleted %d runs, want those of b and d", got)
	}
	for name, run := range runs {
		if want := name == "b" || name == "d"; f.gone(run) != want {
			f.Errorf("the run of queue %s is gone: %t, want %t", name, !want, want)
		}
	}
	policy = ages(expired, kept)
	policy.Queues = map[string]persistence.RetentionAges{"c": {Completed: kept}}
	if got := f.prune(policy, 100); got != 2 || f.gone(runs["c"]) {
		f.Errorf("deleted %d runs, want those of a and c2", got)
	}
}

func pruneForetold(f *fixture) {
	runs := f.completedIn("a", "b")
	policy := ages(kept, expired)
	if found := f.expired(policy); found.Due() {
		f.Errorf("expired: %+v, want nothing", found)
	}
	policy.Queues = map[string]persistence.RetentionAges{"b": {Completed: expired}}
	if found := f.expired(policy); !found.Due() {
		f.Errorf("expired: %+v, want the run of b", found)
	}
	if f.gone(runs["b"]) {
		f.Error("a look deleted a run")
	}
	f.prune(policy, 100)
	if found := f.expired(policy); found.Due() {
		f.Errorf("expired: %+v, want nothing any more", found)
	}
}

// retention is a run of the system's own that boot owns, or that waits.
func (f *fixture) retention(boot persistence.BootID) persistence.Fence {
	f.Helper()
	insert := f.draft()
	insert.Workflow, insert.Queue, insert.Owner = persistence.RetentionWorkflow, "metrics", boot
	f.land(insert)
	return persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1}
}

func pruneUnderWay(f *fixture) {
	if found := f.expired(ages(kept, kept)); !found.Run.IsZero() {
		f.Errorf("found %+v, want no run", found)
	}
	boot := f.join("a")
	running := f.retention(boot)
	if found := f.expired(ages(kept, kept)); found.Run != running.Run || found.Waits != 0 {
		f.Errorf("found %+v, want run %s, which does not wait", found, running.Run)
	}
	f.land(release(running, workflow.Available, 0))
	f.completedIn("default") // takes its time
	if found := f.expired(ages(kept, kept)); found.Run != running.Run || found.Waits <= 0 || found.Waits > kept {
		f.Errorf("found %+v, want run %s, which waits", found, running.Run)
	}
	if got := f.prune(ages(expired, expired), 100); got != 1 || f.gone(running.Run) {
		f.Errorf("deleted %d runs, want the one that completed", got)
	}
}

func pruneOwn(f *fixture) {
	boot := f.join("a")
	past := f.retention(boot)
	f.land(completion(past))
	other := f.retention(boot)
	f.land(failure(other))
	if found := f.expired(ages(expired, expired)); found.Due() || !found.Run.IsZero() {
		f.Errorf("expired: %+v, want nothing: ended runs of retention are kept until something else goes", found)
	}
	f.prune(ages(kept, kept), 100)
	for _, run := range []workflow.RunID{past.Run, other.Run} {
		if !f.gone(run) {
			f.Errorf("run %s of an earlier retention is still there", run)
		}
	}
}

func pruneSparesUnfinished(f *fixture) {
	for _, state := range workflow.States {
		if !state.Terminal() {
			f.reach(state)
		}
	}
	retried := f.reach(workflow.Failed).fence.Run
	f.land(persistence.Retry{Run: retried})
	if got := f.prune(ages(expired, expired), 100); got != 0 {
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
	f.prune(ages(expired, kept), 100)
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
		if got := f.prune(ages(expired, kept), 2); got != want {
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
	f.prune(ages(expired, kept), 100)
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
