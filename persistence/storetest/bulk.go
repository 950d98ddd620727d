package storetest

import (
	"errors"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var bulkStories = []story{
	{name: "bulk/thousands of runs are claimed in their order", tell: bulkOrder},
	{name: "bulk/says how long each run waits, and gives none an owner", tell: bulkWaits},
	{name: "bulk/attaches to the runs that have an id or a key", tell: bulkAttaches},
	{name: "bulk/repeated it finds what it added", tell: bulkAgain},
	{name: "bulk/a conflict keeps all from being added and is named", tell: bulkConflict},
	{name: "bulk/a conflict within the call keeps all from being added", tell: bulkConflictWithin},
	{name: "bulk/a bad write keeps all from being added", tell: bulkBadWrite},
	{name: "bulk/none is no work", tell: func(f *fixture) { f.insertAll() }},
}

// insertAll adds runs that must be added.
func (f *fixture) insertAll(inserts ...persistence.Insert) []persistence.Inserted {
	f.Helper()
	list, err := f.store.InsertAll(f.Context(), inserts)
	if err != nil || len(list) != len(inserts) {
		f.Fatalf("insert %d runs: %d answers, %v", len(inserts), len(list), err)
	}
	return list
}

// refuseAll adds runs of which the one at index is in conflict with another.
func (f *fixture) refuseAll(index int, with workflow.RunID, inserts ...persistence.Insert) {
	f.Helper()
	_, err := f.store.InsertAll(f.Context(), inserts)
	refusal, _ := errors.AsType[*workflow.StartError](err)
	conflict, _ := errors.AsType[*workflow.KeyConflictError](err)
	if refusal == nil || conflict == nil || refusal.Index != index || conflict.Run != with {
		f.Fatalf("insert %d runs: %v, want a conflict of the one at %d with run %s", len(inserts), err, index, with)
	}
}

// absent checks that runs were not added.
func (f *fixture) absent(inserts ...persistence.Insert) {
	f.Helper()
	for _, insert := range inserts {
		if _, err := f.store.Run(f.Context(), insert.Run); !errors.Is(err, workflow.ErrRunNotFound) {
			f.Errorf("run %s: %v, want %v", insert.Run, err, workflow.ErrRunNotFound)
		}
	}
}

func bulkOrder(f *fixture) {
	const many = 3000
	inserts := make([]persistence.Insert, many)
	for i := range inserts {
		inserts[i] = f.draft()
	}
	for i, inserted := range f.insertAll(inserts...) {
		if want := (persistence.Inserted{Run: inserts[i].Run}); inserted != want {
			f.Fatalf("answer %d is %+v, want %+v", i, inserted, want)
		}
	}
	boot := f.join("a")
	var claimed []workflow.RunID
	for len(claimed) < many {
		taken := f.take(boot, 500)
		if len(taken) == 0 {
			f.Fatalf("%d runs were claimed, want %d", len(claimed), many)
		}
		claimed = append(claimed, ids(taken)...)
	}
	if !slices.EqualFunc(inserts, claimed, func(insert persistence.Insert, id workflow.RunID) bool { return insert.Run == id }) {
		f.Error("they were claimed in another order")
	}
	if run := f.run(inserts[many-1].Run); string(run.Input) != string(inserts[many-1].Input) {
		f.Errorf("the last one has input %s, want %s", run.Input, inserts[many-1].Input)
	}
}

func bulkWaits(f *fixture) {
	due, later, tagged := f.draft(), f.draft(), f.draft()
	due.Owner = f.join("a")
	later.Delay, tagged.Tags = time.Hour, []string{"t"}
	list := f.insertAll(due, later, tagged)
	if list[0].Wait > 0 || list[2].Wait > 0 || list[1].Wait < time.Hour-time.Second || list[1].Wait > time.Hour {
		f.Errorf("answers %+v, want the second to wait for an hour", list)
	}
	f.wantState(due.Run, workflow.Available)
	f.wantState(later.Run, workflow.Scheduled)
	if got := f.run(tagged.Run).Tags; len(got) != 1 {
		f.Errorf("the run with a tag has %q", got)
	}
}

func bulkAttaches(f *fixture) {
	sameID, holder := f.draft(), f.keyed("k")
	f.land(sameID)
	f.land(holder)
	keyed, first, second, fresh := f.keyed("k"), f.keyed("new"), f.keyed("new"), f.draft()
	want := []persistence.Inserted{
		{Run: sameID.Run, Attached: true}, {Run: first.Run}, {Run: holder.Run, Attached: true}, {Run: first.Run, Attached: true}, {Run: fresh.Run},
	}
	if got := f.insertAll(sameID, first, keyed, second, fresh); !slices.Equal(got, want) {
		f.Errorf("answers %+v, want %+v", got, want)
	}
	f.absent(keyed, second)
}

func bulkAgain(f *fixture) {
	inserts := []persistence.Insert{f.draft(), f.keyed("k"), f.draft()}
	first := f.insertAll(inserts...)
	for i, again := range f.insertAll(inserts...) {
		if !again.Attached || again.Run != first[i].Run {
			f.Errorf("answer %d is %+v, want it attached to run %s", i, again, first[i].Run)
		}
	}
}

func bulkConflict(f *fixture) {
	holder := f.keyed("k")
	f.land(holder)
	plain, keyed, last := f.draft(), f.keyed("k"), f.draft()
	keyed.InputHash = [32]byte{2}
	f.refuseAll(1, holder.Run, plain, keyed, last)
	otherInput := holder
	otherInput.InputHash = [32]byte{2}
	f.refuseAll(2, holder.Run, plain, last, otherInput)
	f.absent(plain, keyed, last)
	f.insertAll(plain, last)
}

func bulkConflictWithin(f *fixture) {
	plain, first, second := f.draft(), f.keyed("k"), f.keyed("k")
	second.InputHash = [32]byte{2}
	f.refuseAll(2, first.Run, plain, first, second)
	f.absent(plain, first, second)
}

func bulkBadWrite(f *fixture) {
	good, bad := f.draft(), f.draft()
	bad.Priority = persistence.MaxPriority + 1
	if _, err := f.store.InsertAll(f.Context(), []persistence.Insert{good, bad}); !errors.Is(err, persistence.ErrBadWrite) {
		f.Errorf("insert: %v, want %v", err, persistence.ErrBadWrite)
	}
	f.absent(good, bad)
}
