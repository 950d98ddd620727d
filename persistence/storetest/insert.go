package storetest

import (
	"errors"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var insertStories = []story{
	{name: "insert/a run is available at once", tell: insertAvailable},
	{name: "insert/a run due later is scheduled", tell: insertScheduled},
	{name: "insert/a run with a delay is scheduled on the clock of the store", tell: insertDelayed},
	{name: "insert/what few runs have comes back", tell: insertExtras},
	{name: "insert/one with and one without extras land together", tell: insertMixed},
	{name: "insert/as owned by a living boot it runs", tell: insertOwned},
	{name: "insert/as owned by a boot that is not alive it is available", tell: insertOwnedByTheDead},
	{name: "insert/as owned but due later it is scheduled", tell: insertOwnedScheduled},
	{name: "insert/the same id and input again finds the run", tell: insertAgain},
	{name: "insert/the same id with another input or workflow conflicts", tell: insertOtherInput},
	{name: "insert/an id that was never inserted is not found", tell: notFound},
}

func insertAvailable(f *fixture) {
	insert := f.draft()
	insert.Priority, insert.Key = 3, "k"
	before := f.now()
	if verdict := f.land(insert); verdict.Owned || verdict.Existing != nil || verdict.Activations != nil {
		f.Fatalf("verdict %+v, want an empty one", verdict)
	}
	run := f.run(insert.Run)
	want := workflow.Run{
		ID: insert.Run, Workflow: flow, Version: 1, State: workflow.Available, Queue: queue, Priority: 3,
		Key: "k", Step: "reserve", CreatedAt: run.CreatedAt, DueAt: run.CreatedAt,
	}
	if string(run.Input) != string(insert.Input) || run.Output != nil {
		f.Errorf("input %s and output %s, want %s and none", run.Input, run.Output, insert.Input)
	}
	run.Input = nil
	if !equalRuns(run, want) {
		f.Errorf("run %+v, want %+v", run, want)
	}
	if run.CreatedAt.Before(before.Add(-time.Millisecond)) || run.CreatedAt.After(f.now().Add(time.Millisecond)) {
		f.Errorf("created at %s, want now", run.CreatedAt)
	}
}

func insertScheduled(f *fixture) {
	insert := f.draft()
	insert.Due = f.now().Add(time.Hour)
	f.land(insert)
	run := f.run(insert.Run)
	if run.State != workflow.Scheduled || !near(run.DueAt, insert.Due) {
		f.Errorf("run is %s, due %s; want scheduled, due %s", run.State, run.DueAt, insert.Due)
	}
}

func insertDelayed(f *fixture) {
	insert := f.draft()
	insert.Delay = time.Hour
	verdict := f.land(insert)
	if verdict.Wait < time.Hour-time.Second || verdict.Wait > time.Hour {
		f.Errorf("it waits for %s, want an hour", verdict.Wait)
	}
	run := f.run(insert.Run)
	if wait := run.DueAt.Sub(run.CreatedAt); run.State != workflow.Scheduled || wait != time.Hour {
		f.Errorf("run is %s, due %s after it was stored; want scheduled, an hour", run.State, wait)
	}
}

func insertExtras(f *fixture) {
	insert := f.draft()
	limitKey, slot := "acme", time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	insert.Extras = persistence.Extras{
		Due: f.now().Add(time.Hour), Deadline: time.Minute, Tags: []string{"plain", `with "quotes", {braces} and \`, "null"},
		LimitKey: &limitKey, Schedule: "nightly", Slot: slot, Batch: "b-1",
	}
	f.land(insert)
	run := f.run(insert.Run)
	want := run
	deadline := insert.Due.Add(time.Minute)
	want.Deadline, want.Tags, want.LimitKey, want.Schedule, want.Slot, want.Batch = &deadline, insert.Tags, limitKey, "nightly", &slot, "b-1"
	if !equalRuns(run, want) {
		f.Errorf("run %+v, want %+v", run, want)
	}
}

func insertMixed(f *fixture) {
	plain, full := f.draft(), f.draft()
	full.Tags = []string{"t"}
	plain.Owner = f.join("a")
	if verdicts := f.commit(plain, full); !verdicts[0].Owned || verdicts[1].Owned {
		f.Errorf("owned: %t and %t, want the first", verdicts[0].Owned, verdicts[1].Owned)
	}
	if got := f.run(plain.Run).Tags; got != nil {
		f.Errorf("the run without tags has %q", got)
	}
	if got := f.run(full.Run).Tags; len(got) != 1 {
		f.Errorf("the run with a tag has %q", got)
	}
}

func insertOwned(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	run := f.run(fence.Run)
	if run.State != workflow.Running || run.Epoch != 1 || run.Owner != "a" || run.StartedAt == nil {
		f.Errorf("run %+v, want running in epoch 1, owned by a, started", run)
	}
	f.land(checkpoint(fence, "pay"))
}

func insertOwnedByTheDead(f *fixture) {
	gone := f.join("a")
	f.leave(gone)
	for _, boot := range []persistence.BootID{gone, "never-joined"} {
		insert := f.draft()
		insert.Owner = boot
		if verdict := f.land(insert); verdict.Owned {
			f.Errorf("owned by %s, which is not alive", boot)
		}
		if run := f.run(insert.Run); run.State != workflow.Available || run.Epoch != 0 || run.Owner != "" {
			f.Errorf("run %+v, want available in epoch 0 without an owner", run)
		}
	}
}

func insertOwnedScheduled(f *fixture) {
	insert := f.draft()
	insert.Owner, insert.Due = f.join("a"), f.now().Add(time.Hour)
	if verdict := f.land(insert); verdict.Owned {
		f.Errorf("a run due later is owned")
	}
	f.wantState(insert.Run, workflow.Scheduled)
}

func insertAgain(f *fixture) {
	insert := f.draft()
	insert.Owner = f.join("a")
	f.land(insert)
	f.land(completion(persistence.Fence{Run: insert.Run, Boot: insert.Owner, Epoch: 1}))
	before := f.run(insert.Run)
	verdict := f.land(insert)
	if verdict.Owned || verdict.Existing == nil || verdict.Existing.ID != insert.Run {
		f.Fatalf("verdict %+v, want the existing run", verdict)
	}
	if got := string(verdict.Existing.Output); got != `{"sent":true}` {
		f.Errorf("output of the existing run is %s", got)
	}
	if now := f.run(insert.Run); !equalRuns(now, before) {
		f.Errorf("run %+v changed into %+v", before, now)
	}
}

func insertOtherInput(f *fixture) {
	insert := f.draft()
	f.land(insert)
	otherInput, otherWorkflow := insert, insert
	otherInput.InputHash = [32]byte{2}
	otherWorkflow.Workflow = "refund"
	for _, write := range []persistence.Insert{otherInput, otherWorkflow} {
		if conflict := f.conflict(write); conflict.Run != insert.Run || conflict.Key != "" {
			f.Errorf("conflict %+v, want one of id %s", conflict, insert.Run)
		}
	}
}

func notFound(f *fixture) {
	id := workflow.NewRunID()
	if _, err := f.store.Run(f.Context(), id); !errors.Is(err, workflow.ErrRunNotFound) {
		f.Errorf("Run: %v, want %v", err, workflow.ErrRunNotFound)
	}
	if _, err := f.store.Steps(f.Context(), id); !errors.Is(err, workflow.ErrRunNotFound) {
		f.Errorf("Steps: %v, want %v", err, workflow.ErrRunNotFound)
	}
	f.refuse(persistence.Cancel{Run: id}, workflow.ErrRunNotFound)
	f.refuse(persistence.Retry{Run: id}, workflow.ErrRunNotFound)
	f.refuse(persistence.Reactivate{Run: id, Boot: f.join("a")}, persistence.ErrFenced)
	f.refuse(checkpoint(persistence.Fence{Run: id, Boot: "a", Epoch: 1}, "pay"), persistence.ErrFenced)
}
