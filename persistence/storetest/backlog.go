package storetest

import (
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var backlogStories = []story{
	{name: "backlog/is empty without runs that wait", tell: backlogEmpty},
	{name: "backlog/tells what is due, what must run alone and what comes next", tell: backlogTells},
	{name: "backlog/leaves out unknown definitions", tell: backlogKnown},
	{name: "backlog/finds the next due time across priorities", tell: backlogNext},
}

func (f *fixture) backlog() []persistence.Backlog {
	f.Helper()
	backlog, err := f.store.Backlog(f.Context(), known)
	if err != nil {
		f.Fatalf("backlog: %v", err)
	}
	return backlog
}

func backlogEmpty(f *fixture) {
	boot := f.join("a")
	f.land(completion(f.started(boot)))
	f.started(boot)
	f.land(release(f.started(boot), workflow.Waiting, 0))
	if got := f.backlog(); len(got) != 0 {
		f.Errorf("backlog %+v, want none", got)
	}
}

func backlogTells(f *fixture) {
	soon := f.draft()
	soon.Queue = "b-solo"
	f.land(soon)
	f.crashOf("b-solo", persistence.MaxCrashes-1)
	next := f.now().Add(time.Hour)
	in := func(queue string, due time.Time) persistence.Write {
		insert := f.draft()
		insert.Queue, insert.Due = queue, due
		return insert
	}
	f.commit(
		in("a-due", time.Time{}), in("a-due", next),
		in("c-later", next.Add(time.Hour)), in("c-later", next), in("c-later", next.Add(time.Minute)),
	)
	want := []persistence.Backlog{
		{Queue: "a-due", Due: true, Next: time.Hour},
		{Queue: "b-solo", Solo: true},
		{Queue: "c-later", Next: time.Hour},
	}
	got := f.backlog()
	if len(got) != len(want) {
		f.Fatalf("backlog %+v, want %+v", got, want)
	}
	for i := range want {
		same := got[i].Queue == want[i].Queue && got[i].Due == want[i].Due && got[i].Solo == want[i].Solo
		if !same || !about(got[i].Next, want[i].Next) {
			f.Errorf("backlog %+v, want %+v", got[i], want[i])
		}
	}
}

func backlogKnown(f *fixture) {
	newer, other := f.draft(), f.draft()
	newer.Version = 2
	other.Workflow, other.Due = "refund", f.now().Add(time.Hour)
	f.commit(newer, other)
	if got := f.backlog(); len(got) != 0 {
		f.Errorf("backlog %+v, want none", got)
	}
	f.stored()
	if got := f.backlog(); len(got) != 1 || !got[0].Due || got[0].Next != 0 {
		f.Errorf("backlog %+v, want one queue with a run that is due and no next one", got)
	}
}

func backlogNext(f *fixture) {
	later, first := f.draft(), f.draft()
	later.Due = f.now().Add(2 * time.Hour)
	first.Due, first.Priority = later.Due.Add(-time.Hour), 9
	f.commit(later, first)
	if got := f.backlog(); len(got) != 1 || got[0].Due || !about(got[0].Next, time.Hour) {
		f.Errorf("backlog %+v, want nothing due and the next run in an hour", got)
	}
	later, first = f.draft(), f.draft()
	later.Queue, first.Queue = "metrics", "metrics"
	later.Due = f.now().Add(5*time.Minute + 30*time.Second)
	first.Due, first.Priority = later.Due.Add(-3*time.Minute), 9 // sorted last, due first
	f.commit(later, first)
	if got := f.backlog(); len(got) != 2 || !about(got[1].Next, 150*time.Second) {
		f.Errorf("backlog %+v, want the next run in two and a half minutes", got)
	}
}

// about reports whether two waits are the same, but for the time that a test
// takes.
func about(got, want time.Duration) bool { return (got - want).Abs() < time.Minute }
