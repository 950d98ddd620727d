package storetest

import (
	"slices"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var deadlineStories = []story{
	{name: "deadlines/a run that waits fails once it is over", tell: deadlineWaits},
	{name: "deadlines/one that runs is left to its owner", tell: deadlineRuns},
	{name: "deadlines/one between two attempts says what the last one did", tell: deadlineBetweenAttempts},
	{name: "deadlines/those before are first, up to the limit, and the next is told", tell: deadlineOrder},
	{name: "deadlines/a run that is retried has none", tell: deadlineLifted},
	{name: "deadlines/what fails by one no longer holds its batch", tell: deadlineInBatch},
}

// overdue is a draft whose deadline was over so long ago.
func (f *fixture) overdue(ago time.Duration) persistence.Insert {
	insert := f.draft()
	insert.Due, insert.Deadline = f.now().Add(-time.Hour-ago), time.Hour
	return insert
}

// expire fails up to limit runs, by boot a.
func (f *fixture) expire(limit int) (failed []workflow.RunID, next time.Duration) {
	f.Helper()
	found, err := f.store.Expire(f.Context(), f.labels["a"], limit)
	if err != nil {
		f.Fatalf("expire: %v", err)
	}
	for _, run := range found.Failed {
		if run.State != workflow.Failed || run.FinishedAt == nil || !strings.HasPrefix(run.Error, workflow.ErrOverdue.Error()) {
			f.Errorf("expired run is %+v, want it failed", run)
		}
		failed = append(failed, run.ID)
	}
	return failed, found.Next
}

func (f *fixture) wantExpired(want ...workflow.RunID) {
	f.Helper()
	if failed, _ := f.expire(100); !slices.Equal(failed, want) {
		f.Fatalf("failed at their deadline: %v, want %v", failed, want)
	}
}

func deadlineWaits(f *fixture) {
	boot := f.join("a")
	f.wantExpired()
	waits, none, ahead := f.overdue(2*time.Minute), f.draft(), f.draft()
	paused := f.overdue(time.Minute)
	paused.Queue, ahead.Deadline = "metrics", time.Hour
	f.commit(waits, none, ahead, paused)
	if _, _, err := f.store.PauseQueue(f.Context(), "metrics", true); err != nil {
		f.Fatal(err)
	}
	f.wantExpired(waits.Run, paused.Run)
	f.wantExpired()
	run := f.run(paused.Run)
	if run.State != workflow.Failed || run.Error != workflow.ErrOverdue.Error() || run.Epoch != 1 || run.Owner != "a" || run.FinishedAt == nil {
		f.Errorf("the run is %+v, want it failed by a", run)
	}
	if got := ids(f.take(boot, 10)); !slices.Equal(got, []workflow.RunID{none.Run, ahead.Run}) {
		f.Errorf("a claim took %v, want the runs whose deadline is not over", got)
	}
	f.wantExpired()
}

func deadlineRuns(f *fixture) {
	boot := f.join("a")
	insert := f.overdue(time.Minute)
	f.land(insert)
	fence := fenceOf(boot, f.take(boot, 1)[0])
	f.wantExpired()
	f.land(release(fence, workflow.Available, 0))
	f.wantExpired(insert.Run)
	f.refuse(checkpoint(after(fence), "pay"), persistence.ErrFenced)
}

func deadlineBetweenAttempts(f *fixture) {
	boot := f.join("a")
	insert := f.overdue(time.Minute)
	f.land(insert)
	fails := failure(fenceOf(boot, f.take(boot, 1)[0]))
	fails.State, fails.Delay, fails.Entry.Summary = workflow.Retryable, time.Hour, summary()
	f.land(fails)
	f.wantExpired(insert.Run)
	if run := f.run(insert.Run); run.Error != workflow.ErrOverdue.Error()+": out of tea" || run.Attempt != 1 || run.Step != "reserve" {
		f.Errorf("the run is %+v, want the error of its last attempt", run)
	}
	result, found := f.jobResult(insert.Run)
	if !found || result.Success || result.Instance != "a" || result.Summary.Model != summary().Model {
		f.Errorf("its result is %+v (%t), want a failed one with its summary", result, found)
	}
}

func deadlineOrder(f *fixture) {
	f.join("a")
	second, first, third, ahead, later := f.overdue(2*time.Minute), f.overdue(3*time.Minute), f.overdue(time.Minute), f.draft(), f.draft()
	ahead.Delay, ahead.Deadline, later.Deadline = time.Hour, time.Hour, 3*time.Hour
	f.commit(second, first, third, ahead, later)
	failed, next := f.expire(2)
	slices.SortFunc(failed, func(a, b workflow.RunID) int { return strings.Compare(a.String(), b.String()) })
	if !slices.Equal(failed, []workflow.RunID{second.Run, first.Run}) || next.Round(time.Minute) != 2*time.Hour {
		f.Errorf("failed %v, and the next deadline is over in %s; want the first two of three, and two hours", failed, next)
	}
	f.wantExpired(third.Run)
	f.land(persistence.Cancel{Run: ahead.Run})
	if _, next := f.expire(2); next.Round(time.Minute) != 3*time.Hour {
		f.Errorf("the next deadline is over in %s, want three hours", next)
	}
	f.land(persistence.Cancel{Run: later.Run})
	if _, next := f.expire(2); next != 0 {
		f.Errorf("the next deadline is over in %s, and there is none", next)
	}
}

func deadlineLifted(f *fixture) {
	f.join("a")
	insert := f.overdue(time.Minute)
	f.land(insert)
	f.wantExpired(insert.Run)
	f.land(persistence.Retry{Run: insert.Run})
	f.wantExpired()
	f.wantState(insert.Run, workflow.Available)
}

func deadlineInBatch(f *fixture) {
	f.join("a")
	insert := f.overdue(time.Minute)
	f.insertBatch(page("b", true), insert)
	f.wantRipe("b", false)
	f.wantExpired(insert.Run)
	f.wantRipe("b", true)
}
