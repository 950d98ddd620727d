package storetest

import (
	"slices"
	"sync"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var claimStories = []story{
	{name: "claim/takes runs with their input in the next epoch", tell: claimTakes},
	{name: "claim/goes by due time plus a minute for each priority, then by id", tell: claimOrder},
	{name: "claim/takes no more than its limit", tell: claimLimit},
	{name: "claim/of one queue leaves the others", tell: claimQueue},
	{name: "claim/leaves unknown workflows and versions", tell: claimKnown},
	{name: "claim/leaves runs that are not due, whatever their priority", tell: claimNotDue},
	{name: "claim/says how long it is until the deadline", tell: claimBeforeDeadline},
	{name: "claim/takes a scheduled run once it is due", tell: claimBecomesDue},
	{name: "claim/takes a run in backoff once it is due", tell: claimRetryable},
	{name: "claim/goes on from the last checkpoint with its summary", tell: claimResumes},
	{name: "claim/is refused to a boot that is not alive", tell: claimByTheDead},
	{name: "claim/repeated under its id gives the same runs", tell: claimRepeated},
	{name: "claim/only a solo claim takes runs that must run alone", tell: claimSolo},
	{name: "claim/concurrent claims never share a run", tell: claimDisjoint},
}

func claimTakes(f *fixture) {
	boot := f.join("a")
	id := f.stored()
	activations := f.take(boot, 5)
	if len(activations) != 1 {
		f.Fatalf("%d activations, want 1", len(activations))
	}
	got := activations[0]
	if got.Run.ID != id || got.Run.Epoch != 1 || got.Run.State != workflow.Running || got.Run.Owner != "a" || got.Run.StartedAt == nil {
		f.Errorf("activation of %+v, want run %s running in epoch 1, owned by a", got.Run, id)
	}
	if string(got.Run.Input) != `{"item":"tea"}` || got.State != nil || got.Summary != nil || got.Seq != 0 {
		f.Errorf("activation %+v, want the input and nothing of a checkpoint", got)
	}
	if again := f.take(boot, 5); len(again) != 0 {
		f.Errorf("taken twice: %v", ids(again))
	}
}

func claimOrder(f *fixture) {
	start := f.now().Add(-time.Hour)
	type due struct {
		after    time.Duration
		priority int
	}
	// In the order in which they are to be taken.
	wanted := []due{
		{0, 0},
		{time.Second, 0},
		{time.Second, 0}, // the same: by id
		{0, 1},
		{time.Second, 1},
		{61*time.Second + time.Millisecond, 0},
		{0, 9},
		{10 * time.Minute, 0},
		{9 * time.Minute, 9},
	}
	var order []workflow.RunID
	var inserts []persistence.Write
	for _, w := range wanted {
		insert := f.draft()
		insert.Due, insert.Priority = start.Add(w.after), w.priority
		order = append(order, insert.Run)
		inserts = append(inserts, insert)
	}
	slices.Reverse(inserts)
	f.commit(inserts...)
	boot := f.join("a")
	got := slices.Concat(ids(f.take(boot, 2)), ids(f.take(boot, 3)), ids(f.take(boot, 100)))
	if !slices.Equal(got, order) {
		f.Errorf("taken in order %v,\nwant %v", got, order)
	}
}

func claimLimit(f *fixture) {
	boot := f.join("a")
	for range 5 {
		f.stored()
	}
	for _, want := range []int{0, 3, 2, 0} {
		limit := 3
		if want == 0 {
			limit = 0
		}
		if got := len(f.take(boot, limit)); got != want {
			f.Errorf("claim of %d took %d runs, want %d", limit, got, want)
		}
	}
}

func claimQueue(f *fixture) {
	insert := f.draft()
	insert.Queue = "metrics"
	f.land(insert)
	boot := f.join("a")
	if got := f.take(boot, 5); len(got) != 0 {
		f.Errorf("took %v of another queue", ids(got))
	}
	claim := claimOf(boot, 5)
	claim.Queue = "metrics"
	if got := ids(f.land(claim).Activations); !slices.Equal(got, []workflow.RunID{insert.Run}) {
		f.Errorf("took %v, want %s", got, insert.Run)
	}
}

func claimKnown(f *fixture) {
	newer, other, plain := f.draft(), f.draft(), f.draft()
	newer.Version = 2
	other.Workflow = "refund"
	f.commit(newer, other, plain)
	boot := f.join("a")
	if got := ids(f.take(boot, 5)); !slices.Equal(got, []workflow.RunID{plain.Run}) {
		f.Errorf("took %v, want only %s", got, plain.Run)
	}
	claim := claimOf(boot, 5)
	claim.Known = nil
	if got := f.land(claim).Activations; len(got) != 0 {
		f.Errorf("a claim that knows nothing took %v", ids(got))
	}
	claim = claimOf(boot, 5)
	claim.Known = []persistence.Definition{{Workflow: flow, Version: 2}, {Workflow: "refund", Version: 1}}
	if got := f.land(claim).Activations; len(got) != 2 {
		f.Errorf("took %v, want two runs", ids(got))
	}
}

func claimNotDue(f *fixture) {
	var batch []persistence.Write
	for priority := range 10 {
		later := f.draft()
		later.Priority, later.Due = priority, f.now().Add(time.Minute)
		batch = append(batch, later)
	}
	last := f.draft()
	last.Priority = 9 // sorted after all of them
	f.commit(append(batch, last)...)
	if got := ids(f.take(f.join("a"), 100)); !slices.Equal(got, []workflow.RunID{last.Run}) {
		f.Errorf("took %v, want only the run that is due, %s", got, last.Run)
	}
}

func claimBecomesDue(f *fixture) {
	boot := f.join("a")
	insert := f.draft()
	insert.Due = f.now().Add(20 * time.Millisecond)
	f.land(insert)
	f.takesInTheEnd(boot, insert.Run)
	if now := f.now(); now.Before(insert.Due.Truncate(time.Microsecond)) {
		f.Errorf("taken %s before it was due", insert.Due.Sub(now))
	}
}

func claimRetryable(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.land(release(fence, workflow.Retryable, 20*time.Millisecond))
	f.takesInTheEnd(boot, fence.Run)
	later := f.started(boot)
	f.land(release(later, workflow.Retryable, time.Hour))
	if got := f.take(boot, 5); len(got) != 0 {
		f.Errorf("took %v, whose backoff is an hour", ids(got))
	}
}

// takesInTheEnd claims until it gets the run.
func (f *fixture) takesInTheEnd(boot persistence.BootID, want workflow.RunID) {
	f.Helper()
	deadline := time.Now().Add(f.config.Patience)
	for time.Now().Before(deadline) {
		if got := f.take(boot, 5); len(got) == 1 && got[0].Run.ID == want {
			return
		}
	}
	f.Fatalf("run %s, which is due, was not taken", want)
}

func claimResumes(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	w := checkpoint(fence, "pay")
	w.Entry.Summary = &workflow.Summary{Model: "m", Tokens: 7, Patterns: []string{"p"}}
	f.land(w)
	failed := failure(after(fence))
	failed.State, failed.Step, failed.Turn, failed.Attempt, failed.Delay = workflow.Retryable, "pay", 4, 1, 0
	f.land(failed)
	got := f.take(boot, 1)
	if len(got) != 1 {
		f.Fatalf("took %d runs, want 1", len(got))
	}
	if got[0].Seq != 2 || string(got[0].State) != `{"reserved":true}` {
		f.Errorf("at %d with state %s, want 2 and the state of the checkpoint", got[0].Seq, got[0].State)
	}
	if s := got[0].Summary; s == nil || s.Model != "m" || s.Tokens != 7 || !slices.Equal(s.Patterns, []string{"p"}) {
		f.Errorf("summary %+v, want that of the checkpoint", s)
	}
	if run := got[0].Run; run.Step != "pay" || run.Turn != 4 || run.Attempt != 1 || run.Epoch != 3 {
		f.Errorf("at step %s, turn %d, attempt %d, epoch %d; want pay, 4, 1, 3", run.Step, run.Turn, run.Attempt, run.Epoch)
	}
}

func claimByTheDead(f *fixture) {
	id := f.stored()
	gone := f.join("a")
	f.leave(gone)
	f.refuse(claimOf(gone, 1), persistence.ErrFenced)
	f.refuse(claimOf("never-joined", 1), persistence.ErrFenced)
	f.wantState(id, workflow.Available)
}

func claimRepeated(f *fixture) {
	boot := f.join("a")
	for range 4 {
		f.stored()
	}
	claim := claimOf(boot, 2)
	first := f.land(claim).Activations
	second := f.land(claim).Activations
	if !slices.Equal(ids(first), ids(second)) {
		f.Errorf("repeated claim took %v, want %v again", ids(second), ids(first))
	}
	for i := range min(len(first), len(second)) {
		if first[i].Run.Epoch != second[i].Run.Epoch {
			f.Errorf("repeated claim changed the epoch from %d to %d", first[i].Run.Epoch, second[i].Run.Epoch)
		}
	}
	if rest := f.take(boot, 5); len(rest) != 2 {
		f.Errorf("%d runs are left, want 2", len(rest))
	}
}

func claimSolo(f *fixture) {
	suspect := f.stored()
	f.crash(persistence.MaxCrashes - 1)
	innocent := f.stored()
	boot := f.join("a")
	if got := ids(f.take(boot, 5)); !slices.Equal(got, []workflow.RunID{innocent}) {
		f.Errorf("an ordinary claim took %v, want only %s", got, innocent)
	}
	f.stored()
	claim := claimOf(boot, 5)
	claim.Solo = true
	if got := ids(f.land(claim).Activations); !slices.Equal(got, []workflow.RunID{suspect}) {
		f.Errorf("a solo claim took %v, want only %s", got, suspect)
	}
}

func claimDisjoint(f *fixture) {
	const claimers, runs = 8, 120
	for range runs {
		f.stored()
	}
	var mu sync.Mutex
	owners := map[workflow.RunID]persistence.BootID{}
	var group sync.WaitGroup
	for range claimers {
		boot := f.join("a")
		group.Go(func() {
			for {
				verdicts, err := f.store.Commit(f.Context(), []persistence.Write{claimOf(boot, 7)})
				if err != nil {
					f.Errorf("claim: %v", err)
					return
				}
				if len(verdicts[0].Activations) == 0 {
					return
				}
				mu.Lock()
				for _, id := range ids(verdicts[0].Activations) {
					if other, taken := owners[id]; taken {
						f.Errorf("run %s was given to %s and to %s", id, other, boot)
					}
					owners[id] = boot
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(owners) != runs {
		f.Errorf("%d runs were taken, want all %d", len(owners), runs)
	}
}

func claimBeforeDeadline(f *fixture) {
	ahead, over, none := f.draft(), f.draft(), f.draft()
	ahead.Deadline = time.Hour
	over.Due, over.Deadline = f.now().Add(-time.Hour), time.Minute
	f.commit(ahead, over, none)
	for _, got := range f.take(f.join("a"), 3) {
		left := got.Left.Round(time.Minute)
		switch got.Run.ID {
		case ahead.Run:
			if left != time.Hour {
				f.Errorf("%s are left, want an hour", got.Left)
			}
		case over.Run:
			if left != -59*time.Minute {
				f.Errorf("%s are left, want minus 59 minutes", got.Left)
			}
		case none.Run:
			if got.Run.Deadline != nil || got.Left != 0 {
				f.Errorf("the run without a deadline has %v, %s", got.Run.Deadline, got.Left)
			}
		}
	}
}
