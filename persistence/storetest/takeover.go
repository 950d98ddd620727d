package storetest

import (
	"context"
	"runtime"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var takeoverStories = []story{
	{name: "takeover/a boot that leaves is none", tell: leavingIsNoTakeover},
	{name: "takeover/a boot that is declared dead leaves a record", judged: true, tell: takeoverRecorded},
	{name: "takeover/its runs are counted batch by batch", judged: true, tell: takeoverCounted},
	{name: "takeover/the first claim and the first checkpoint are noted", judged: true, tell: takeoverFollowed},
	{name: "takeover/a look that comes late takes the times from the history", judged: true, tell: takeoverFollowedLate},
	{name: "takeover/a run that is only cancelled was not claimed", judged: true, tell: takeoverCancelled},
	{name: "takeover/the latest comes first", judged: true, tell: takeoversListed},
	{name: "takeover/its record has an age of its own", judged: true, tell: takeoversPruned},
	{name: "takeover/a process that died without a judge leaves a record", restarts: true, tell: takeoverByRestart},
}

// follower is what a shared store has beside the others.
type follower interface {
	FollowTakeover(ctx context.Context, boot persistence.BootID) (known bool, err error)
}

// declare makes the judge declare a boot dead.
func (f *fixture) declare(judge, boot persistence.BootID) {
	f.Helper()
	f.config.Declare(f, f.store, judge, persistence.Charge{
		Boot: boot, Ground: persistence.Lapsed, DetectedBy: "gossip", SuspectedFor: time.Minute,
	})
}

// takeovers lists the latest ones.
func (f *fixture) takeovers(limit int) []persistence.Takeover {
	f.Helper()
	list, err := f.store.Takeovers(f.Context(), limit)
	if err != nil {
		f.Fatalf("takeovers: %v", err)
	}
	return list
}

// takeover is the only one.
func (f *fixture) takeover() persistence.Takeover {
	f.Helper()
	list := f.takeovers(10)
	if len(list) != 1 {
		f.Fatalf("takeovers %+v, want one", list)
	}
	return list[0]
}

// follow looks how a takeover goes on.
func (f *fixture) follow(boot persistence.BootID, want bool) persistence.Takeover {
	f.Helper()
	known, err := f.store.(follower).FollowTakeover(f.Context(), boot)
	if err != nil || known != want {
		f.Errorf("follow the takeover: known %v, %v; want %v", known, err, want)
	}
	return f.takeover()
}

// abandoned is a run whose owner another boot has declared dead.
func (f *fixture) abandoned() (dead, judge persistence.BootID, run workflow.RunID) {
	f.Helper()
	dead, judge = f.join("dead"), f.join("judge")
	run = f.started(dead).Run
	f.declare(judge, dead)
	f.reassign()
	return dead, judge, run
}

func leavingIsNoTakeover(f *fixture) {
	boot := f.join("a")
	f.started(boot)
	f.leave(boot)
	f.reassign()
	if list := f.takeovers(10); len(list) != 0 {
		f.Errorf("takeovers %+v, want none", list)
	}
}

func takeoverRecorded(f *fixture) {
	dead, judge, _ := f.abandoned()
	t := f.takeover()
	if t.Boot != dead || t.Instance != "dead" || t.Judge != judge || t.DetectedBy != "gossip" || t.Ground != persistence.Lapsed {
		f.Errorf("takeover %+v, want that of %s by %s, on the word of gossip", t, dead, judge)
	}
	if suspected := t.DeclaredAt.Sub(t.SuspectedAt); suspected != time.Minute {
		f.Errorf("suspected for %s, want a minute", suspected)
	}
	if t.Released != 1 || t.Quarantined != 0 || t.ClaimedAt != nil || t.ResumedAt != nil {
		f.Errorf("takeover %+v, want one run that waits", t)
	}
}

func takeoverCounted(f *fixture) {
	dead, judge := f.join("dead"), f.join("judge")
	for range 5 {
		f.started(dead)
	}
	f.declare(judge, dead)
	for _, want := range []int{2, 4, 5, 5} {
		if _, err := f.store.Reassign(f.Context(), 2); err != nil {
			f.Fatalf("reassign: %v", err)
		}
		if t := f.takeover(); t.Released != want {
			f.Errorf("%d runs were released, want %d", t.Released, want)
		}
	}
}

func takeoverFollowed(f *fixture) {
	dead, judge, _ := f.abandoned()
	f.follow(dead, false)
	fence := fenceOf(judge, f.take(judge, 1)[0])
	claimed := f.follow(dead, false)
	if claimed.ClaimedAt == nil || claimed.ClaimedAt.Before(claimed.DeclaredAt) || claimed.ResumedAt != nil {
		f.Fatalf("takeover %+v, want it claimed and not resumed", claimed)
	}
	f.land(checkpoint(fence, "pay"))
	resumed := f.follow(dead, true)
	if !resumed.ClaimedAt.Equal(*claimed.ClaimedAt) || resumed.ResumedAt == nil || resumed.ResumedAt.Before(*resumed.ClaimedAt) {
		f.Fatalf("takeover %+v, want it claimed as before, and resumed", resumed)
	}
	f.land(completion(after(fence)))
	if last := f.follow(dead, true); !last.ResumedAt.Equal(*resumed.ResumedAt) {
		f.Errorf("takeover %+v, want it resumed as before: %+v", last, resumed)
	}
}

func takeoverFollowedLate(f *fixture) {
	dead, judge, _ := f.abandoned()
	fence := fenceOf(judge, f.take(judge, 1)[0])
	first := checkpoint(fence, "pay")
	first.Entry.StartedAt, first.Entry.FinishedAt = f.now(), f.now()
	f.land(first)
	f.land(checkpoint(after(fence), "ship"))
	t := f.follow(dead, true)
	if t.ClaimedAt == nil || t.ResumedAt == nil || t.ClaimedAt.Before(t.DeclaredAt) || t.ResumedAt.Before(*t.ClaimedAt) {
		f.Fatalf("takeover %+v, want it claimed and resumed", t)
	}
	if !near(*t.ResumedAt, first.Entry.FinishedAt) {
		f.Errorf("resumed at %s, want when the first entry ended, %s", t.ResumedAt, first.Entry.FinishedAt)
	}
}

func takeoverCancelled(f *fixture) {
	dead, _, run := f.abandoned()
	f.land(persistence.Cancel{Run: run})
	if t := f.follow(dead, false); t.ClaimedAt != nil {
		f.Errorf("takeover %+v, want it not claimed", t)
	}
}

func takeoversListed(f *fixture) {
	first, second, judge := f.join("first"), f.join("second"), f.join("judge")
	f.declare(judge, first)
	for declared := f.takeover().DeclaredAt; !f.now().After(declared.Add(time.Microsecond)); {
		runtime.Gosched()
	}
	f.declare(judge, second)
	if list := f.takeovers(10); len(list) != 2 || list[0].Boot != second || list[1].Boot != first {
		f.Errorf("takeovers %+v, want those of %s and %s", list, second, first)
	}
	if list := f.takeovers(1); len(list) != 1 || list[0].Boot != second {
		f.Errorf("takeovers %+v, want that of %s", list, second)
	}
}

func takeoversPruned(f *fixture) {
	f.abandoned()
	f.prune(persistence.RetentionPolicy{}, 100)
	f.takeover()
	f.prune(persistence.RetentionPolicy{Takeovers: expired}, 100)
	if list := f.takeovers(10); len(list) != 0 {
		f.Errorf("takeovers %+v, want none", list)
	}
}

func takeoverByRestart(f *fixture) {
	left := f.join("left")
	f.leave(left)
	dead := f.join("dead")
	f.started(dead)
	f.restart()
	f.join("dead")
	f.reassign()
	t := f.takeover()
	if t.Boot != dead || t.Instance != "dead" || t.Judge != "" || t.DetectedBy != persistence.ByLock || t.Ground != persistence.Crashed {
		f.Errorf("takeover %+v, want that of %s by the lock", t, dead)
	}
	if t.Released != 1 || t.DeclaredAt.IsZero() || !t.SuspectedAt.Equal(t.DeclaredAt) {
		f.Errorf("takeover %+v, want one run, released when the database was opened", t)
	}
	f.prune(persistence.RetentionPolicy{Takeovers: expired}, 100)
	if list := f.takeovers(10); len(list) != 0 {
		f.Errorf("takeovers %+v, want none that are kept for less than no time", list)
	}
}
