package storetest

import (
	"errors"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var uniqueStories = []story{
	{name: "unique/an unfinished run with the unique key is attached to", tell: uniqueAttaches},
	{name: "unique/a start that is to be rejected names the run in the way", tell: uniqueRejects},
	{name: "unique/another input of the same key conflicts", tell: uniqueKeyConflicts},
	{name: "unique/a run of another workflow is not attached to", tell: uniqueOfOtherWorkflow},
	{name: "unique/is free again once the run has ended", tell: uniqueFreed},
	{name: "unique/for a time outlasts the completion of the run", tell: uniqueOutlastsCompletion},
	{name: "unique/for a time ends on the clock of the store", tell: uniqueLapses},
	{name: "unique/keys and unique keys are not in each other's way", tell: uniqueBesideKey},
	{name: "unique/of two inserts in one batch the second attaches to the first", tell: uniqueWithinBatch},
	{name: "unique/a retry takes the unique key back when no other run has it", tell: uniqueRetaken},
	{name: "unique/a retry is refused when a newer run has the unique key", tell: uniqueBlocksRetry},
	{name: "unique/a retry after its time needs no unique key", tell: uniqueRetryLapsed},
	{name: "unique/a retry passes a newer run whose time is over", tell: uniqueRetryAfterRival},
	{name: "replace/a run that has not begun makes way and says for which", tell: replaceWaiting},
	{name: "replace/a run that has begun stays", tell: replaceBegun},
	{name: "replace/repeated it finds its own run and replaces nobody", tell: replaceRepeated},
	{name: "replace/in one batch each makes way for the next", tell: replaceWithinBatch},
	{name: "replace/with another input of the same key it conflicts only with what has begun", tell: replaceOtherInput},
}

// unique is an insert that is to be the only one with the key.
func (f *fixture) unique(key byte, onConflict workflow.OnConflict) persistence.Insert {
	insert := f.draft()
	insert.Unique = &persistence.Unique{Key: [32]byte{key}, By: workflow.ByQueue, OnConflict: onConflict}
	return insert
}

// within makes an insert unique for a time.
func within(insert persistence.Insert, time time.Duration) persistence.Insert {
	unique := *insert.Unique
	unique.Within = time
	insert.Unique = &unique
	return insert
}

// byKey makes an insert unique by its key.
func byKey(insert persistence.Insert, key string) persistence.Insert {
	unique := *insert.Unique
	unique.By = workflow.ByKey
	insert.Key, insert.Unique = key, &unique
	return insert
}

// wantAttached commits an insert that must attach to the given run.
func (f *fixture) wantAttached(insert persistence.Insert, to workflow.RunID) {
	f.Helper()
	verdict := f.land(insert)
	if verdict.Existing == nil || verdict.Existing.ID != to {
		f.Fatalf("existing %+v, want run %s", verdict.Existing, to)
	}
	if _, err := f.store.Run(f.Context(), insert.Run); insert.Run != to && !errors.Is(err, workflow.ErrRunNotFound) {
		f.Errorf("run %s was inserted all the same: %v", insert.Run, err)
	}
}

// wantInserted commits an insert that must become a run, and returns the verdict.
func (f *fixture) wantInserted(insert persistence.Insert) persistence.Verdict {
	f.Helper()
	verdict := f.land(insert)
	if verdict.Existing != nil {
		f.Fatalf("attached to run %s, want run %s", verdict.Existing.ID, insert.Run)
	}
	return verdict
}

// wantRival commits a write that the given run must be in the way of.
func (f *fixture) wantRival(write persistence.Write, rival workflow.RunID) workflow.UniqueError {
	f.Helper()
	verdict := f.try(write)
	refusal, ok := errors.AsType[*workflow.UniqueError](verdict.Err)
	if !ok || refusal.Run != rival || refusal.Workflow != flow {
		f.Fatalf("%T: verdict %+v, want run %s in its way", write, verdict, rival)
	}
	return *refusal
}

func uniqueAttaches(f *fixture) {
	first, second := f.unique(1, workflow.Attach), f.unique(1, workflow.Attach)
	second.InputHash = [32]byte{2} // which is not what they are unique by
	f.wantInserted(first)
	f.wantAttached(second, first.Run)
	f.wantAttached(first, first.Run)
	f.wantInserted(f.unique(2, workflow.Attach))
}

func uniqueRejects(f *fixture) {
	first := f.unique(1, workflow.Reject)
	f.wantInserted(first)
	refusal := f.wantRival(within(f.unique(1, workflow.Reject), time.Hour), first.Run)
	if refusal.By != workflow.ByQueue || refusal.Within != time.Hour {
		f.Errorf("refusal %+v, want one by queue within an hour", refusal)
	}
	f.wantAttached(first, first.Run) // repeated, it is the run itself
}

func uniqueKeyConflicts(f *fixture) {
	for i, policy := range []workflow.OnConflict{workflow.Attach, workflow.Reject} {
		first, other := byKey(f.unique(byte(i), policy), "k"), byKey(f.unique(byte(i), policy), "k")
		f.wantInserted(first)
		other.InputHash = [32]byte{2}
		if conflict := f.conflict(other); conflict.Run != first.Run || conflict.Key != "k" || conflict.Workflow != flow {
			f.Errorf("%s: conflict %+v, want one of key k with run %s", policy, conflict, first.Run)
		}
	}
}

func uniqueOfOtherWorkflow(f *fixture) {
	first, second := f.unique(1, workflow.Attach), f.unique(1, workflow.Attach)
	first.Workflow = "refund"
	f.wantInserted(first)
	f.wantRival(second, first.Run)
}

func uniqueFreed(f *fixture) {
	boot := f.join("a")
	for _, end := range []func(persistence.Fence){
		func(fence persistence.Fence) { f.land(completion(fence)) },
		func(fence persistence.Fence) { f.land(failure(fence)) },
		func(fence persistence.Fence) { f.land(persistence.Cancel{Run: fence.Run}) },
	} {
		insert := f.unique(1, workflow.Attach)
		insert.Owner = boot
		if verdict := f.wantInserted(insert); !verdict.Owned {
			f.Errorf("inserted as owned by a living boot, and is not")
		}
		f.wantAttached(f.unique(1, workflow.Attach), insert.Run)
		end(persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1})
	}
	last := f.unique(1, workflow.Attach)
	f.wantInserted(last)
	f.quarantine(last.Run)
	f.wantInserted(f.unique(1, workflow.Attach))
}

func uniqueOutlastsCompletion(f *fixture) {
	first := within(f.unique(1, workflow.Attach), time.Hour)
	first.Owner = f.join("a")
	f.wantInserted(first)
	f.land(completion(persistence.Fence{Run: first.Run, Boot: first.Owner, Epoch: 1}))
	existing := f.land(f.unique(1, workflow.Attach)).Existing
	if existing == nil || existing.ID != first.Run || string(existing.Output) != `{"sent":true}` {
		f.Fatalf("existing %+v, want the completed run %s with its output", existing, first.Run)
	}
}

// lapsed inserts a run that is unique for a moment, and waits until that is over.
func (f *fixture) lapsed(key byte) (first, later workflow.RunID) {
	f.Helper()
	insert := within(f.unique(key, workflow.Attach), 5*time.Millisecond)
	f.wantInserted(insert)
	for deadline := time.Now().Add(f.config.Patience); time.Now().Before(deadline); {
		next := f.unique(key, workflow.Attach)
		if f.land(next).Existing == nil {
			return insert.Run, next.Run
		}
	}
	f.Fatalf("a run is still in the way that was to be unique for 5 ms")
	return
}

func uniqueLapses(f *fixture) {
	first, later := f.lapsed(1)
	f.wantState(first, workflow.Available)
	f.wantAttached(f.unique(1, workflow.Attach), later)
	f.wantInserted(within(f.unique(2, workflow.Attach), time.Hour))
	if verdict := f.land(within(f.unique(2, workflow.Attach), time.Hour)); verdict.Existing == nil {
		f.Errorf("within the hour another run was inserted")
	}
}

func uniqueBesideKey(f *fixture) {
	plain, unique := f.keyed("k"), byKey(f.unique(1, workflow.Attach), "k")
	f.wantInserted(plain)
	f.wantInserted(unique)
	f.wantAttached(f.keyed("k"), plain.Run)
	f.wantAttached(byKey(f.unique(1, workflow.Attach), "k"), unique.Run)
	for _, id := range []workflow.RunID{plain.Run, unique.Run} {
		f.land(persistence.Cancel{Run: id})
		f.land(persistence.Retry{Run: id})
	}
}

func uniqueWithinBatch(f *fixture) {
	first, second, third := f.unique(1, workflow.Attach), f.unique(1, workflow.Attach), f.unique(1, workflow.Reject)
	plain := f.draft()
	verdicts := f.commit(plain, first, second, third)
	if verdicts[0].Err != nil || verdicts[1].Err != nil || verdicts[1].Existing != nil {
		f.Fatalf("first verdicts %+v, want two runs", verdicts[:2])
	}
	if existing := verdicts[2].Existing; existing == nil || existing.ID != first.Run {
		f.Errorf("second verdict %+v, want the first run", verdicts[2])
	}
	if _, ok := errors.AsType[*workflow.UniqueError](verdicts[3].Err); !ok {
		f.Errorf("third verdict %+v, want a rejection", verdicts[3])
	}
}

func uniqueRetaken(f *fixture) {
	first, second := f.unique(1, workflow.Attach), f.unique(1, workflow.Attach)
	f.wantInserted(first)
	f.land(persistence.Cancel{Run: first.Run})
	f.wantInserted(second)
	f.land(persistence.Cancel{Run: second.Run})
	f.land(persistence.Retry{Run: first.Run})
	f.wantAttached(f.unique(1, workflow.Attach), first.Run)
}

func uniqueBlocksRetry(f *fixture) {
	first, second := f.unique(1, workflow.Attach), within(f.unique(1, workflow.Attach), time.Hour)
	f.wantInserted(first)
	f.land(persistence.Cancel{Run: first.Run})
	f.wantInserted(second)
	f.wantRival(persistence.Retry{Run: first.Run}, second.Run)
	f.wantState(first.Run, workflow.Cancelled)
}

func uniqueRetryLapsed(f *fixture) {
	first, later := f.lapsed(1)
	f.land(persistence.Cancel{Run: first})
	f.land(persistence.Retry{Run: first})
	f.wantAttached(f.unique(1, workflow.Attach), later)
}

func uniqueRetryAfterRival(f *fixture) {
	failed, rival := f.unique(1, workflow.Attach), within(f.unique(1, workflow.Attach), 5*time.Millisecond)
	f.wantInserted(failed)
	f.land(persistence.Cancel{Run: failed.Run})
	f.wantInserted(rival)
	for deadline := time.Now().Add(f.config.Patience); time.Now().Before(deadline); {
		if f.try(persistence.Retry{Run: failed.Run}).Err == nil {
			f.wantAttached(f.unique(1, workflow.Attach), failed.Run)
			return
		}
	}
	f.Fatalf("a run is still in the way that was to be unique for 5 ms")
}

func replaceWaiting(f *fixture) {
	scheduled := f.unique(1, workflow.Replace)
	scheduled.Due = time.Now().Add(time.Hour)
	if verdict := f.wantInserted(scheduled); verdict.Changed != nil {
		f.Errorf("replaced %+v, want nobody", verdict.Changed)
	}
	before := scheduled.Run
	for range 2 { // a scheduled run, and an available one
		next := f.unique(1, workflow.Replace)
		changed := f.wantInserted(next).Changed
		if changed == nil || changed.ID != before || changed.State != workflow.Cancelled || changed.FinishedAt == nil {
			f.Fatalf("replaced %+v, want run %s, cancelled", changed, before)
		}
		if want := persistence.ReplacedBy(next.Run); changed.Reason != want || f.run(before).Reason != want {
			f.Errorf("reasons %q and %q, want %q", changed.Reason, f.run(before).Reason, want)
		}
		f.wantAttached(f.unique(1, workflow.Attach), next.Run)
		before = next.Run
	}
	if got := f.take(f.join("a"), 5); len(got) != 1 || got[0].Run.ID != before {
		f.Errorf("a claim took %v, want the last run alone", ids(got))
	}
}

func replaceBegun(f *fixture) {
	boot := f.join("a")
	first := f.unique(1, workflow.Replace)
	f.wantInserted(first)
	activation := f.take(boot, 1)[0]
	f.wantAttached(f.unique(1, workflow.Replace), first.Run)
	f.land(release(fenceOf(boot, activation), workflow.Available, 0))
	f.wantAttached(f.unique(1, workflow.Replace), first.Run)
	f.wantState(first.Run, workflow.Available)
}

func replaceRepeated(f *fixture) {
	first, second := f.unique(1, workflow.Replace), f.unique(1, workflow.Replace)
	f.wantInserted(first)
	f.wantInserted(second)
	f.wantAttached(first, first.Run)
	f.wantAttached(second, second.Run)
	f.wantState(second.Run, workflow.Available)
}

func replaceWithinBatch(f *fixture) {
	inserts := []persistence.Insert{f.unique(1, workflow.Attach), f.unique(1, workflow.Replace), f.unique(2, workflow.Replace), f.unique(1, workflow.Replace)}
	var batch []persistence.Write
	for _, insert := range inserts {
		batch = append(batch, insert)
	}
	verdicts := f.commit(batch...)
	for i, replaced := range map[int]int{1: 0, 3: 1} {
		if changed := verdicts[i].Changed; changed == nil || changed.ID != inserts[replaced].Run {
			f.Errorf("insert %d replaced %+v, want run %s", i, changed, inserts[replaced].Run)
		}
		f.wantState(inserts[replaced].Run, workflow.Cancelled)
	}
	f.wantState(inserts[2].Run, workflow.Available)
	f.wantState(inserts[3].Run, workflow.Available)
}

func replaceOtherInput(f *fixture) {
	first, second, third := byKey(f.unique(1, workflow.Replace), "k"), byKey(f.unique(1, workflow.Replace), "k"), byKey(f.unique(1, workflow.Replace), "k")
	second.InputHash = [32]byte{2}
	f.wantInserted(first)
	f.wantInserted(second)
	f.take(f.join("a"), 1)
	if conflict := f.conflict(third); conflict.Run != second.Run {
		f.Errorf("conflict %+v, want one with run %s", conflict, second.Run)
	}
}
