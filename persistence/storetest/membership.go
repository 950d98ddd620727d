package storetest

import (
	"errors"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var membershipStories = []story{
	{name: "membership/runs of a living boot stay with it", tell: reassignLeavesLiving},
	{name: "membership/runs of a dead boot are released as crashed", tell: reassignReleases},
	{name: "membership/the third crash since the last checkpoint quarantines", tell: reassignQuarantines},
	{name: "membership/a checkpoint forgets crashes", tell: checkpointForgetsCrashes},
	{name: "membership/a mere release does not forget crashes", tell: releaseKeepsCrashes},
	{name: "membership/reassign stops at its limit and goes on", tell: reassignLimit},
	{name: "membership/a reassigned run keeps its place in the queue", tell: reassignKeepsPlace},
	{name: "membership/owned lists the running runs of one boot", tell: ownedLists},
	{name: "membership/joining and leaving can be repeated", tell: joinAndLeaveAgain},
	{name: "membership/a boot that ended never comes back", tell: joinAfterLeave},
	{name: "membership/members are the instances with their latest boots", tell: membersList},
}

// crash lets the runs that wait in the usual queue lose their process n times.
func (f *fixture) crash(times int) {
	f.Helper()
	f.crashOf(queue, times)
}

func (f *fixture) crashOf(queue string, times int) (last persistence.Fence) {
	f.Helper()
	for crashes := range times {
		boot := f.join("doomed")
		claim := claimOf(boot, 100)
		claim.Queue = queue
		claim.Solo = crashes >= persistence.MaxCrashes-1
		for _, activation := range f.land(claim).Activations {
			last = fenceOf(boot, activation)
		}
		f.leave(boot)
		f.reassign()
	}
	return last
}

// quarantine makes an available run crash until it is quarantined.
func (f *fixture) quarantine(id workflow.RunID) persistence.Fence {
	f.Helper()
	fence := f.crashOf(f.run(id).Queue, persistence.MaxCrashes)
	f.wantState(id, workflow.Quarantined)
	return fence
}

func reassignLeavesLiving(f *fixture) {
	fence := f.started(f.join("a"))
	if done := f.reassign(); done != (persistence.Reassigned{}) {
		f.Errorf("reassigned %+v, want none", done)
	}
	f.land(checkpoint(fence, "pay"))
}

func reassignReleases(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.leave(boot)
	if done := f.reassign(); done != (persistence.Reassigned{Released: 1}) {
		f.Errorf("reassigned %+v, want one released", done)
	}
	run := f.run(fence.Run)
	if run.State != workflow.Available || run.Epoch != 2 || run.Crashes != 1 || run.Owner != "" {
		f.Errorf("run %+v, want available in epoch 2 with one crash", run)
	}
	f.refuse(checkpoint(fence, "pay"), persistence.ErrFenced)
	if done := f.reassign(); done != (persistence.Reassigned{}) {
		f.Errorf("reassigned %+v again", done)
	}
}

func reassignQuarantines(f *fixture) {
	id := f.stored()
	f.crash(persistence.MaxCrashes - 1)
	if run := f.run(id); run.State != workflow.Available || run.Crashes != persistence.MaxCrashes-1 {
		f.Fatalf("run %+v, want available after %d crashes", run, persistence.MaxCrashes-1)
	}
	boot := f.join("a")
	claim := claimOf(boot, 1)
	claim.Solo = true
	f.land(claim)
	f.leave(boot)
	if done := f.reassign(); done != (persistence.Reassigned{Quarantined: 1}) {
		f.Errorf("reassigned %+v, want one quarantined", done)
	}
	run := f.run(id)
	if run.State != workflow.Quarantined || run.Crashes != persistence.MaxCrashes || run.FinishedAt == nil {
		f.Errorf("run %+v, want quarantined after %d crashes", run, persistence.MaxCrashes)
	}
	if run.Error != persistence.QuarantineError {
		f.Errorf("error %q, want %q", run.Error, persistence.QuarantineError)
	}
}

func checkpointForgetsCrashes(f *fixture) {
	for _, shape := range shapes[:2] { // a failed attempt is a checkpoint too
		id := f.stored()
		f.crash(persistence.MaxCrashes - 1)
		boot := f.join("a")
		claim := claimOf(boot, 1)
		claim.Solo = true
		taken := f.land(claim).Activations
		if len(taken) != 1 || taken[0].Run.Crashes != persistence.MaxCrashes-1 {
			f.Fatalf("taken %+v, want the run that crashed", taken)
		}
		f.land(shape.write(fenceOf(boot, taken[0])))
		if run := f.run(id); run.Crashes != 0 {
			f.Errorf("%s: %d crashes, want none", shape.name, run.Crashes)
		}
		f.leave(boot)
		f.reassign()
		if run := f.run(id); run.Crashes != 1 || run.State != workflow.Available {
			f.Errorf("%s: run %+v, want available after one crash", shape.name, run)
		}
		f.land(persistence.Cancel{Run: id})
	}
}

func releaseKeepsCrashes(f *fixture) {
	id := f.stored()
	f.crash(1)
	boot := f.join("a")
	taken := f.take(boot, 1)
	f.land(release(fenceOf(boot, taken[0]), workflow.Available, 0))
	if run := f.run(id); run.Crashes != 1 {
		f.Errorf("%d crashes after a release, want 1", run.Crashes)
	}
}

func reassignLimit(f *fixture) {
	boot := f.join("a")
	for range 5 {
		f.started(boot)
	}
	f.leave(boot)
	for _, want := range []int{2, 2, 1, 0} {
		done, err := f.store.Reassign(f.Context(), 2)
		if err != nil || done.Released != want {
			f.Errorf("reassigned %+v, %v; want %d released", done, err, want)
		}
	}
}

func reassignKeepsPlace(f *fixture) {
	boot := f.join("a")
	first := f.stored()
	f.stored()
	f.take(boot, 1)
	f.leave(boot)
	f.reassign()
	if got := ids(f.take(f.join("b"), 1)); !slices.Equal(got, []workflow.RunID{first}) {
		f.Errorf("taken next: %v, want the reassigned run %s", got, first)
	}
}

func ownedLists(f *fixture) {
	boot, other := f.join("a"), f.join("b")
	var want []workflow.RunID
	for range 3 {
		want = append(want, f.started(boot).Run)
	}
	f.started(other)
	f.land(completion(f.started(boot)))
	f.land(release(f.started(boot), workflow.Retryable, 0))
	got, err := f.store.Owned(f.Context(), boot)
	if err != nil || !slices.Equal(got, want) {
		f.Errorf("owned %v, %v; want %v", got, err, want)
	}
	if got, err := f.store.Owned(f.Context(), "never-joined"); err != nil || len(got) != 0 {
		f.Errorf("owned by nobody: %v, %v", got, err)
	}
}

func joinAndLeaveAgain(f *fixture) {
	boot := persistence.Boot{ID: "a-1", Instance: "a"}
	for range 2 {
		if err := f.store.Join(f.Context(), boot); err != nil {
			f.Fatalf("join: %v", err)
		}
	}
	f.land(claimOf(boot.ID, 1))
	for range 2 {
		f.leave(boot.ID)
	}
	f.leave("never-joined")
}

func joinAfterLeave(f *fixture) {
	boot := persistence.Boot{ID: "a-1", Instance: "a"}
	if err := f.store.Join(f.Context(), boot); err != nil {
		f.Fatalf("join: %v", err)
	}
	f.leave(boot.ID)
	if err := f.store.Join(f.Context(), boot); !errors.Is(err, persistence.ErrFenced) {
		f.Errorf("join again after leaving: %v, want %v", err, persistence.ErrFenced)
	}
	f.refuse(claimOf(boot.ID, 1), persistence.ErrFenced)
}

func membersList(f *fixture) {
	before := f.now()
	gone := f.join("a")
	f.leave(gone)
	again := f.join("a")
	other := persistence.Boot{
		ID: "b-1", Instance: "b", Hostname: "host-b", PID: 7, Version: "v2", Capabilities: `{"llm":true}`,
		Addresses: persistence.Addresses{Gossip: "10.0.0.7:7946", Actors: "10.0.0.7:7947", API: "10.0.0.7:4000"},
	}
	if err := f.store.Join(f.Context(), other); err != nil {
		f.Fatalf("join: %v", err)
	}
	left := persistence.Boot{ID: "c-1", Instance: "c", Addresses: other.Addresses}
	if err := f.store.Join(f.Context(), left); err != nil {
		f.Fatalf("join: %v", err)
	}
	f.leave(left.ID)
	members, err := f.store.Members(f.Context())
	if err != nil {
		f.Fatalf("members: %v", err)
	}
	found := map[string]persistence.Member{}
	for _, member := range members {
		found[member.Instance] = member
	}
	if len(members) != 3 || len(found) != 3 {
		f.Fatalf("members %+v, want a, b and c once each", members)
	}
	if a := found["a"]; a.Boot != again || a.Status != "online" || a.LastHeartbeat.Before(before.Add(-time.Minute)) {
		f.Errorf("member a is %+v, want the later boot %s online, with a heartbeat", a, again)
	}
	b := found["b"]
	if b.Hostname != "host-b" || b.PID != 7 || b.Version != "v2" || b.Capabilities != `{"llm":true}` || b.CreatedAt.IsZero() ||
		b.Addresses != other.Addresses {
		f.Errorf("member b is %+v, want what it said when it joined", b)
	}
	if c := found["c"]; c.Status != "offline" || c.Boot != left.ID || c.Addresses != (persistence.Addresses{}) {
		f.Errorf("member c is %+v, want it offline and without addresses", c)
	}
}
