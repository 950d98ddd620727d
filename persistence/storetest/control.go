package storetest

import (
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var controlStories = []story{
	{name: "cancel/takes the run from its owner and says why", tell: cancelTells},
	{name: "cancel/of a cancelled run changes nothing", tell: cancelTwice},
	{name: "retry/a retried run has no deadline", tell: retryLiftsDeadline},
	{name: "retry/goes on where the run stands with fresh attempts", tell: retryResumes},
	{name: "retry/of a run that was never started begins it", tell: retryOfUnstarted},
	{name: "retry/forgets crashes", tell: retryForgetsCrashes},
	{name: "reactivate/gives the owner its run again where it stands", tell: reactivates},
	{name: "reactivate/is refused to any other boot", tell: reactivateByOther},
}

func cancelTells(f *fixture) {
	fence := f.started(f.join("a"))
	verdict := f.land(persistence.Cancel{Run: fence.Run, Reason: "no longer needed"})
	changed := verdict.Changed
	if changed == nil || changed.State != workflow.Cancelled || changed.Reason != "no longer needed" || changed.FinishedAt == nil {
		f.Fatalf("changed %+v, want the cancelled run with its reason", changed)
	}
	if changed.Input != nil || changed.Output != nil {
		f.Errorf("the verdict carries documents")
	}
	changed.Input = []byte(`{"item":"tea"}`)
	if run := f.run(fence.Run); !equalRuns(run, *changed) {
		f.Errorf("run %+v, the verdict said %+v", run, *changed)
	}
	f.refuse(checkpoint(fence, "pay"), persistence.ErrFenced)
}

func cancelTwice(f *fixture) {
	id := f.stored()
	f.land(persistence.Cancel{Run: id, Reason: "first"})
	before := f.run(id)
	verdict := f.land(persistence.Cancel{Run: id, Reason: "second"})
	if verdict.Changed == nil || verdict.Changed.Reason != "first" {
		f.Errorf("changed %+v, want the run as it was", verdict.Changed)
	}
	if now := f.run(id); !equalRuns(now, before) {
		f.Errorf("run %+v changed into %+v", before, now)
	}
}

func retryResumes(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.land(checkpoint(fence, "pay"))
	w := failure(after(fence))
	w.Step, w.Turn, w.Attempt = "pay", 3, 5
	f.land(w)
	before := f.now()
	changed := f.land(persistence.Retry{Run: fence.Run}).Changed
	if changed == nil || changed.State != workflow.Available || changed.Step != "pay" || changed.Turn != 3 || changed.Attempt != 0 {
		f.Fatalf("changed %+v, want available at pay[3] with fresh attempts", changed)
	}
	if changed.Error != "" || changed.FinishedAt != nil || changed.DueAt.Before(before.Add(-time.Millisecond)) {
		f.Errorf("changed %+v, want no error, no end, due now", changed)
	}
	got := f.take(boot, 1)
	if len(got) != 1 || string(got[0].State) != `{"reserved":true}` || got[0].Seq != 2 {
		f.Fatalf("taken %+v, want the run with its last checkpoint", got)
	}
	f.land(completion(fenceOf(boot, got[0])))
	f.wantState(fence.Run, workflow.Completed)
}

func retryLiftsDeadline(f *fixture) {
	insert := f.draft()
	insert.Deadline = time.Minute
	f.land(insert)
	f.land(persistence.Cancel{Run: insert.Run})
	if changed := f.land(persistence.Retry{Run: insert.Run}).Changed; changed.Deadline != nil {
		f.Errorf("the deadline is %s, want none", changed.Deadline)
	}
}

func retryOfUnstarted(f *fixture) {
	id := f.stored()
	f.land(persistence.Cancel{Run: id})
	f.land(persistence.Retry{Run: id})
	if got := f.take(f.join("a"), 1); len(got) != 1 || got[0].Run.ID != id || got[0].State != nil {
		f.Errorf("taken %+v, want run %s from its beginning", got, id)
	}
}

func retryForgetsCrashes(f *fixture) {
	id := f.stored()
	f.quarantine(id)
	if changed := f.land(persistence.Retry{Run: id}).Changed; changed.Crashes != 0 {
		f.Errorf("%d crashes, want none", changed.Crashes)
	}
	if got := f.take(f.join("a"), 1); len(got) != 1 {
		f.Errorf("an ordinary claim took %v, want run %s", ids(got), id)
	}
}

func reactivates(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.land(checkpoint(fence, "pay"))
	got := f.land(persistence.Reactivate{Run: fence.Run, Boot: boot}).Activations
	if len(got) != 1 || got[0].Run.Epoch != 2 || got[0].Seq != 1 || string(got[0].State) != `{"reserved":true}` || got[0].Run.Input == nil {
		f.Fatalf("activations %+v, want one in epoch 2 at 1 with input and state", got)
	}
	f.refuse(checkpoint(after(fence), "ship"), persistence.ErrFenced)
	f.land(checkpoint(fenceOf(boot, got[0]), "ship"))
}

func reactivateByOther(f *fixture) {
	fence := f.started(f.join("a"))
	f.refuse(persistence.Reactivate{Run: fence.Run, Boot: f.join("b")}, persistence.ErrFenced)
	f.land(checkpoint(fence, "pay"))
}
