package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var limitedStories = []story{
	{name: "limited/a queue of which nothing was said has no limits", tell: limitedUnknown},
	{name: "limited/takes nothing while the queue is paused", tell: limitedPaused},
	{name: "limited/no more run at once than the global limit, whoever has them", tell: limitedGlobal},
	{name: "limited/whatever ends a run makes room", tell: limitedRoom},
	{name: "limited/no more begin than the rate lets", tell: limitedRate},
	{name: "limited/tokens come back with time", tell: limitedRefill},
	{name: "limited/repeated under its id gives the same runs", tell: limitedRepeated},
	{name: "limited/is refused to a boot that is not alive", tell: limitedByTheDead},
	{name: "limited/needs a batch to itself", tell: limitedAlone},
	{name: "limited/tells of due runs that it does not know", tell: limitedLeft},
	{name: "limited/leaves runs that are not due", tell: limitedNotDue},
	{name: "limited/only a solo claim takes runs that must run alone, within the limits", tell: limitedSolo},
	{name: "limited/concurrent claims keep to all limits", tell: limitedConcurrent},
}

func limitedClaim(boot persistence.BootID, limit int) persistence.Claim {
	claim := claimOf(boot, limit)
	claim.Limited = true
	return claim
}

// takeLimited claims for boot what the limits of the usual queue let begin.
func (f *fixture) takeLimited(boot persistence.BootID, limit int) []persistence.Activation {
	f.Helper()
	return f.land(limitedClaim(boot, limit)).Activations
}

func limitedUnknown(f *fixture) {
	for range 3 {
		f.stored()
	}
	if got := f.takeLimited(f.join("a"), 5); len(got) != 3 {
		f.Errorf("%d runs were taken, want 3", len(got))
	}
}

func limitedPaused(f *fixture) {
	f.set(queue, workflow.QueueChange{GlobalLimit: new(5)})
	f.stored()
	boot := f.join("a")
	f.pause(queue, true)
	if got := f.takeLimited(boot, 5); len(got) != 0 {
		f.Errorf("a paused queue gave %v", ids(got))
	}
	f.pause(queue, false)
	if got := f.takeLimited(boot, 5); len(got) != 1 {
		f.Errorf("%d runs were taken, want 1", len(got))
	}
}

func limitedGlobal(f *fixture) {
	f.set(queue, workflow.QueueChange{GlobalLimit: new(4)})
	for range 10 {
		f.stored()
	}
	a, b := f.join("a"), f.join("b")
	f.started(b) // it counts, however it was started
	other := f.draft()
	other.Queue, other.Owner = "metrics", b
	f.land(other)
	if got := f.takeLimited(a, 2); len(got) != 2 {
		f.Errorf("%d runs were taken, want the 2 asked for", len(got))
	}
	if got := f.takeLimited(b, 5); len(got) != 1 {
		f.Errorf("%d runs were taken, want the last that the limit allows", len(got))
	}
	if got := f.takeLimited(a, 5); len(got) != 0 {
		f.Errorf("%d runs were taken beyond the limit", len(got))
	}
	f.set(queue, workflow.QueueChange{GlobalLimit: new(6)})
	if got := f.takeLimited(a, 5); len(got) != 2 {
		f.Errorf("%d runs were taken, want the 2 more of the new limit", len(got))
	}
}

func limitedRoom(f *fixture) {
	f.set(queue, workflow.QueueChange{GlobalLimit: new(1)})
	for range 10 {
		f.stored()
	}
	a, b := f.join("a"), f.join("b")
	one := func(boot persistence.BootID) persistence.Fence {
		f.Helper()
		got := f.takeLimited(boot, 5)
		if len(got) != 1 {
			f.Fatalf("%d runs were taken, want 1", len(got))
		}
		return fenceOf(boot, got[0])
	}
	f.land(completion(one(a)))
	f.land(failure(one(b)))
	f.land(persistence.Cancel{Run: one(a).Run})
	f.land(release(one(a), workflow.Retryable, time.Hour))
	f.land(release(one(a), workflow.Waiting, 0))
	handedOver := one(a)
	f.land(release(handedOver, workflow.Available, 0))
	if again := one(b); again.Run != handedOver.Run {
		f.Errorf("%s was taken, want %s, which was handed over and is first", again.Run, handedOver.Run)
	}
	f.leave(b)
	if got := f.takeLimited(a, 5); len(got) != 0 {
		f.Errorf("%v were taken while the dead boot's run is its own", ids(got))
	}
	f.reassign()
	one(a)
}

func limitedRate(f *fixture) {
	f.set(queue, workflow.QueueChange{Rate: new(0.001), Burst: new(3)})
	for range 10 {
		f.stored()
	}
	a, b := f.join("a"), f.join("b")
	if got := f.takeLimited(a, 2); len(got) != 2 {
		f.Errorf("%d runs were taken, want 2", len(got))
	}
	verdict := f.land(limitedClaim(b, 5))
	if len(verdict.Activations) != 1 || verdict.Wait < 900*time.Second || verdict.Wait > 1001*time.Second {
		f.Errorf("%d runs were taken, and the next token is said to come in %s; want 1, and 1000 s", len(verdict.Activations), verdict.Wait)
	}
	if verdict = f.land(limitedClaim(a, 5)); len(verdict.Activations) != 0 || verdict.Wait < 900*time.Second {
		f.Errorf("%d runs were taken beyond the rate, wait %s", len(verdict.Activations), verdict.Wait)
	}
	f.set(queue, workflow.QueueChange{Rate: new(0.0), Burst: new(0)})
	if got := f.takeLimited(a, 100); len(got) != 7 {
		f.Errorf("%d runs were taken without a rate, want 7", len(got))
	}
	f.set(queue, workflow.QueueChange{Rate: new(0.01)})
	if verdict := f.land(limitedClaim(a, 5)); verdict.Wait < 0 {
		f.Errorf("an empty queue says to wait for %s", verdict.Wait)
	}
}

func limitedRefill(f *fixture) {
	const rate, runs = 100, 11
	f.set(queue, workflow.QueueChange{Rate: new(float64(rate)), Burst: new(1)})
	for range runs {
		f.stored()
	}
	boot := f.join("a")
	began, taken := time.Now(), 0
	for deadline := began.Add(f.config.Patience); taken < runs && time.Now().Before(deadline); {
		taken += len(f.takeLimited(boot, 5))
	}
	elapsed := time.Since(began)
	if least := (runs - 1) * time.Second / rate; taken != runs || elapsed < least-time.Millisecond {
		f.Errorf("%d runs were taken within %s, want %d after %s", taken, elapsed, runs, least)
	}
	if verdict := f.land(limitedClaim(boot, 1)); len(verdict.Activations) != 0 {
		f.Errorf("%v were taken of an empty queue", ids(verdict.Activations))
	}
}

func limitedRepeated(f *fixture) {
	f.set(queue, workflow.QueueChange{KeyPath: new("k"), Rate: new(0.01), Burst: new(5)})
	for _, key := range []string{"a", "b", "c", "d"} {
		f.waits(key)
	}
	boot := f.join("a")
	claim := limitedClaim(boot, 2)
	first, second := f.land(claim).Activations, f.land(claim).Activations
	if !slices.Equal(ids(first), ids(second)) || len(first) != 2 {
		f.Errorf("repeated claim took %v, want %v again", ids(second), ids(first))
	}
	f.serveAll(boot, "c", "d")
}

func limitedByTheDead(f *fixture) {
	f.set(queue, workflow.QueueChange{GlobalLimit: new(1)})
	id := f.stored()
	gone := f.join("a")
	f.leave(gone)
	f.refuse(limitedClaim(gone, 1), persistence.ErrFenced)
	f.wantState(id, workflow.Available)
}

func limitedAlone(f *fixture) {
	boot := f.join("a")
	batch := []persistence.Write{f.draft(), limitedClaim(boot, 1)}
	if _, err := f.store.Commit(f.Context(), batch); !errors.Is(err, persistence.ErrBadWrite) {
		f.Errorf("a limited claim with others: %v, want %v", err, persistence.ErrBadWrite)
	}
}

func limitedLeft(f *fixture) {
	for _, path := range []string{"", "k"} {
		f.set(queue, workflow.QueueChange{KeyPath: &path, GlobalLimit: new(1)})
		insert := f.ofKey("a")
		insert.Workflow = "refund"
		f.land(insert)
		boot := f.join("a")
		if verdict := f.land(limitedClaim(boot, 5)); !verdict.Left || len(verdict.Activations) != 0 {
			f.Errorf("path %q: left %t with %v, want true", path, verdict.Left, ids(verdict.Activations))
		}
		f.waits("b")
		taken := f.takeLimited(boot, 5)
		if len(taken) != 1 {
			f.Fatalf("path %q: %d runs were taken, want 1", path, len(taken))
		}
		if verdict := f.land(limitedClaim(boot, 5)); verdict.Left {
			f.Errorf("path %q: left, though there is no room", path)
		}
		f.land(completion(fenceOf(boot, taken[0])))
		f.land(persistence.Cancel{Run: insert.Run})
		if verdict := f.land(limitedClaim(boot, 5)); verdict.Left {
			f.Errorf("path %q: left, though there is nothing", path)
		}
	}
}

func limitedNotDue(f *fixture) {
	for _, path := range []string{"", "k"} {
		f.set(queue, workflow.QueueChange{KeyPath: &path, GlobalLimit: new(5)})
		var batch []persistence.Write
		for priority := range 10 {
			later := f.ofKey("a")
			later.Priority, later.Due = priority, f.now().Add(time.Minute)
			batch = append(batch, later)
		}
		last := f.ofKey("a")
		last.Priority = 9 // sorted after all of them
		f.commit(append(batch, last)...)
		if got := ids(f.takeLimited(f.join("a"), 100)); !slices.Equal(got, []workflow.RunID{last.Run}) {
			f.Errorf("path %q: took %v, want only the run that is due, %s", path, got, last.Run)
		}
	}
}

func limitedSolo(f *fixture) {
	suspect := f.waits("a")
	f.crash(persistence.MaxCrashes - 1)
	f.set(queue, workflow.QueueChange{KeyPath: new("k"), KeyLimit: new(1)})
	innocent := f.waits("a")
	boot := f.join("a")
	solo := limitedClaim(boot, 5)
	solo.Solo = true
	taken := f.takeLimited(boot, 5)
	if got := ids(taken); !slices.Equal(got, []workflow.RunID{innocent}) {
		f.Fatalf("an ordinary claim took %v, want only %s", got, innocent)
	}
	if got := f.land(solo).Activations; len(got) != 0 {
		f.Errorf("a solo claim took %v beyond the limit", ids(got))
	}
	f.land(completion(fenceOf(boot, taken[0])))
	solo.ID = workflow.NewRunID().String()
	if got := ids(f.land(solo).Activations); !slices.Equal(got, []workflow.RunID{suspect}) {
		f.Errorf("a solo claim took %v, want only %s", got, suspect)
	}
}

// Claimers take and end runs at the same time, and count by themselves how many
// are between the two: a run counts from before its end is asked for.
func limitedConcurrent(f *fixture) {
	const claimers, keys, each, global, perKey = 6, 4, 30, 5, 2
	f.set(queue, workflow.QueueChange{KeyPath: new("k"), KeyLimit: new(perKey), GlobalLimit: new(global)})
	for i := range keys * each {
		f.waits(fmt.Sprint(i % keys))
	}
	var mu sync.Mutex
	running, owners := map[string]int{}, map[workflow.RunID]bool{}
	var done atomic.Int64
	count := func(key string, by int) {
		mu.Lock()
		defer mu.Unlock()
		running[key] += by
		running["all"] += by
		if running[key] > perKey || running["all"] > global {
			f.Errorf("%d runs of key %s and %d in all at once, want at most %d and %d", running[key], key, running["all"], perKey, global)
		}
	}
	commit := func(write persistence.Write) (persistence.Verdict, bool) {
		verdicts, err := f.store.Commit(f.Context(), []persistence.Write{write})
		if err != nil || verdicts[0].Err != nil {
			f.Errorf("%T: %v, %+v", write, err, verdicts)
			return persistence.Verdict{}, false
		}
		return verdicts[0], true
	}
	deadline := time.Now().Add(f.config.Patience)
	var group sync.WaitGroup
	for range claimers {
		boot := f.join("a")
		group.Go(func() {
			for done.Load() < keys*each && time.Now().Before(deadline) {
				verdict, ok := commit(limitedClaim(boot, 3))
				if !ok {
					return
				}
				for _, activation := range verdict.Activations {
					count(activation.Run.LimitKey, 1)
					mu.Lock()
					if owners[activation.Run.ID] {
						f.Errorf("run %s was taken twice", activation.Run.ID)
					}
					owners[activation.Run.ID] = true
					mu.Unlock()
				}
				for _, activation := range verdict.Activations {
					count(activation.Run.LimitKey, -1)
					if _, ok := commit(completion(fenceOf(boot, activation))); !ok {
						return
					}
					done.Add(1)
				}
			}
		})
	}
	group.Wait()
	if done.Load() != keys*each {
		f.Errorf("%d runs ended, want all %d", done.Load(), keys*each)
	}
}
