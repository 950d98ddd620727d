package storetest

import (
	"singularity/persistence"
	"singularity/workflow"
)

var keyStories = []story{
	{name: "key/an unfinished run with the key and input is attached to", tell: keyAttaches},
	{name: "key/a completed run with the key gives its result", tell: keyOfCompleted},
	{name: "key/another input conflicts and names the run", tell: keyConflicts},
	{name: "key/is free again after a run failed, was cancelled or quarantined", tell: keyFreed},
	{name: "key/belongs to one workflow", tell: keyPerWorkflow},
	{name: "key/no key is never in use", tell: keyEmpty},
	{name: "key/a retry is refused when a newer run has the key", tell: keyBlocksRetry},
	{name: "key/a retry takes the key back when no other run has it", tell: keyRetaken},
	{name: "key/of two inserts in one batch the second attaches to the first", tell: keyWithinBatch},
}

func (f *fixture) keyed(key string) persistence.Insert {
	insert := f.draft()
	insert.Key = key
	return insert
}

func keyAttaches(f *fixture) {
	first, second := f.keyed("k"), f.keyed("k")
	f.land(first)
	verdict := f.land(second)
	if verdict.Existing == nil || verdict.Existing.ID != first.Run {
		f.Fatalf("existing %+v, want run %s", verdict.Existing, first.Run)
	}
	if _, err := f.store.Run(f.Context(), second.Run); err == nil {
		f.Errorf("the second run was inserted all the same")
	}
}

func keyOfCompleted(f *fixture) {
	first := f.keyed("k")
	first.Owner = f.join("a")
	f.land(first)
	f.land(completion(persistence.Fence{Run: first.Run, Boot: first.Owner, Epoch: 1}))
	existing := f.land(f.keyed("k")).Existing
	if existing == nil || existing.ID != first.Run || string(existing.Output) != `{"sent":true}` {
		f.Fatalf("existing %+v, want the completed run %s with its output", existing, first.Run)
	}
}

func keyConflicts(f *fixture) {
	first, second := f.keyed("k"), f.keyed("k")
	second.InputHash = [32]byte{2}
	f.land(first)
	if conflict := f.conflict(second); conflict.Run != first.Run || conflict.Key != "k" || conflict.Workflow != flow {
		f.Errorf("conflict %+v, want one of key k with run %s", conflict, first.Run)
	}
}

func keyFreed(f *fixture) {
	boot := f.join("a")
	first := f.keyed("k")
	first.Owner = boot
	f.land(first)
	f.land(failure(persistence.Fence{Run: first.Run, Boot: boot, Epoch: 1}))

	second := f.keyed("k")
	second.InputHash = [32]byte{2}
	if verdict := f.land(second); verdict.Existing != nil {
		f.Fatalf("attached to the failed run")
	}
	f.land(persistence.Cancel{Run: second.Run})

	third := f.keyed("k")
	if verdict := f.land(third); verdict.Existing != nil {
		f.Fatalf("attached to the cancelled run")
	}
	f.quarantine(third.Run)
	if verdict := f.land(f.keyed("k")); verdict.Existing != nil {
		f.Fatalf("attached to the quarantined run")
	}
}

func keyPerWorkflow(f *fixture) {
	other := f.keyed("k")
	other.Workflow = "refund"
	f.land(f.keyed("k"))
	if verdict := f.land(other); verdict.Existing != nil {
		f.Errorf("attached to a run of another workflow")
	}
}

func keyEmpty(f *fixture) {
	f.land(f.draft())
	if verdict := f.land(f.draft()); verdict.Existing != nil {
		f.Errorf("attached to another run without a key")
	}
}

func keyBlocksRetry(f *fixture) {
	first, second := f.keyed("k"), f.keyed("k")
	f.land(first)
	f.land(persistence.Cancel{Run: first.Run})
	f.land(second)
	if conflict := f.conflict(persistence.Retry{Run: first.Run}); conflict.Run != second.Run || conflict.Key != "k" {
		f.Errorf("conflict %+v, want one of key k with run %s", conflict, second.Run)
	}
	f.wantState(first.Run, workflow.Cancelled)
}

func keyRetaken(f *fixture) {
	first, second := f.keyed("k"), f.keyed("k")
	f.land(first)
	f.land(persistence.Cancel{Run: first.Run})
	f.land(second)
	f.land(persistence.Cancel{Run: second.Run})
	f.land(persistence.Retry{Run: first.Run})
	if existing := f.land(f.keyed("k")).Existing; existing == nil || existing.ID != first.Run {
		f.Errorf("existing %+v, want the retried run %s", existing, first.Run)
	}
}

func keyWithinBatch(f *fixture) {
	first, second := f.keyed("k"), f.keyed("k")
	verdicts := f.commit(first, second)
	if verdicts[0].Err != nil || verdicts[0].Existing != nil {
		f.Fatalf("first verdict %+v, want an empty one", verdicts[0])
	}
	if existing := verdicts[1].Existing; existing == nil || existing.ID != first.Run {
		f.Fatalf("second verdict %+v, want the first run", verdicts[1])
	}
}
