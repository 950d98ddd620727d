package storetest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var advanceStories = []story{
	{name: "advance/a checkpoint moves the run and enters its history", tell: advanceCheckpoint},
	{name: "advance/a failed attempt counts, and its error is there until a step succeeds", tell: advanceFailedAttempt},
	{name: "advance/completes a run with its output", tell: advanceCompletes},
	{name: "advance/fails a run with its error", tell: advanceFails},
	{name: "advance/hands a run over at its old place in the queue", tell: advanceHandsOver},
	{name: "advance/gives a run back until its backoff is over", tell: advanceBacksOff},
	{name: "advance/a backoff does not go beyond the deadline", tell: advanceBacksOffUntilItsDeadline},
	{name: "advance/an owner may cancel its run", tell: advanceCancels},
	{name: "advance/a run that waits keeps its reason and is not claimed", tell: advanceWaits},
	{name: "advance/a checkpoint and a release can be one commit", tell: advanceReleasesWithEntry},
	{name: "advance/history keeps facts, times and owners", tell: historyDetails},
	{name: "advance/large and odd documents come back as they were", tell: documentsSurvive},
	{name: "advance/what is read belongs to the reader", tell: documentsAreCopies},
}

func advanceCheckpoint(f *fixture) {
	fence := f.started(f.join("a"))
	w := checkpoint(fence, "pay")
	w.Turn = 17
	f.land(w)
	if run := f.run(fence.Run); run.State != workflow.Running || run.Step != "pay" || run.Turn != 17 || run.Epoch != 1 {
		f.Errorf("run %+v, want running at pay[17] in epoch 1", run)
	}
	steps := f.steps(fence.Run)
	if len(steps) != 1 || steps[0].Seq != 1 || steps[0].Step != "reserve" || string(steps[0].State) != `{"reserved":true}` {
		f.Errorf("history %+v, want one checkpoint of reserve", steps)
	}
}

func advanceFailedAttempt(f *fixture) {
	fence := f.started(f.join("a"))
	w := failure(fence)
	w.State = workflow.Running
	f.land(w)
	if run := f.run(fence.Run); run.State != workflow.Running || run.Attempt != 1 || run.Error != "out of tea" {
		f.Errorf("run %+v, want running with one failed attempt and its error", run)
	}
	f.land(checkpoint(after(fence), "pay"))
	if run := f.run(fence.Run); run.Attempt != 0 || run.Error != "" {
		f.Errorf("run %+v, want no failed attempt of the next step", run)
	}
	steps := f.steps(fence.Run)
	if len(steps) != 2 || steps[0].Outcome != workflow.StepFailed || steps[0].Error != "out of tea" || steps[0].State != nil {
		f.Errorf("history %+v, want a failed attempt first", steps)
	}
}

func advanceCompletes(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(checkpoint(fence, "pay"))
	f.land(completion(after(fence)))
	run := f.run(fence.Run)
	if run.State != workflow.Completed || run.Step != "" || string(run.Output) != `{"sent":true}` || run.FinishedAt == nil {
		f.Errorf("run %+v, want completed with its output", run)
	}
	if run.Owner != "a" {
		f.Errorf("owner is %q, want the one that completed it", run.Owner)
	}
	if run.StartedAt == nil || run.FinishedAt == nil || run.FinishedAt.Before(*run.StartedAt) {
		f.Errorf("started at %v, finished at %v", run.StartedAt, run.FinishedAt)
	}
}

func advanceFails(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(failure(fence))
	run := f.run(fence.Run)
	if run.State != workflow.Failed || run.Step != "reserve" || run.Attempt != 1 || run.Error != "out of tea" || run.FinishedAt == nil {
		f.Errorf("run %+v, want failed in reserve with its error", run)
	}
	if run.Output != nil {
		f.Errorf("output %s, want none", run.Output)
	}
}

func advanceHandsOver(f *fixture) {
	boot := f.join("a")
	early := f.draft()
	early.Due = f.now().Add(-time.Hour)
	f.land(early)
	f.stored()
	first := f.take(boot, 1)
	f.land(release(fenceOf(boot, first[0]), workflow.Available, 0))
	run := f.run(early.Run)
	if run.State != workflow.Available || run.Epoch != 2 || run.Owner != "" || !near(run.DueAt, early.Due) {
		f.Errorf("run %+v, want available in epoch 2, without an owner, due as before", run)
	}
	if got := f.take(boot, 1); len(got) != 1 || got[0].Run.ID != early.Run || got[0].Seq != 1 || got[0].Run.Epoch != 3 {
		f.Errorf("taken next: %+v, want the same run at 1 in epoch 3", got)
	}
	if steps := f.steps(early.Run); len(steps) != 0 {
		f.Errorf("history %+v, want none of a mere release", steps)
	}
}

func advanceBacksOff(f *fixture) {
	fence := f.started(f.join("a"))
	before := f.now()
	f.land(release(fence, workflow.Retryable, time.Hour))
	run := f.run(fence.Run)
	if run.State != workflow.Retryable || run.Epoch != 2 || run.Owner != "" {
		f.Errorf("run %+v, want retryable in epoch 2 without an owner", run)
	}
	if early, late := before.Add(time.Hour-time.Millisecond), f.now().Add(time.Hour+time.Millisecond); run.DueAt.Before(early) || run.DueAt.After(late) {
		f.Errorf("due at %s, want in an hour", run.DueAt)
	}
}

func advanceBacksOffUntilItsDeadline(f *fixture) {
	insert := f.draft()
	insert.Owner, insert.Deadline = f.join("a"), time.Minute
	if verdict := f.land(insert); !verdict.Owned {
		f.Fatalf("verdict %+v, want it owned", verdict)
	}
	f.land(release(persistence.Fence{Run: insert.Run, Boot: insert.Owner, Epoch: 1}, workflow.Retryable, time.Hour))
	run := f.run(insert.Run)
	if run.Deadline == nil || !run.DueAt.Equal(*run.Deadline) {
		f.Errorf("due at %s, want at the deadline %v", run.DueAt, run.Deadline)
	}
}

func advanceCancels(f *fixture) {
	fence := f.started(f.join("a"))
	w := failure(fence)
	w.State = workflow.Cancelled
	f.land(w)
	f.land(w) // an answer was lost
	run := f.run(fence.Run)
	if run.State != workflow.Cancelled || run.Error != "out of tea" || run.FinishedAt == nil || run.Epoch != 1 {
		f.Errorf("run %+v, want cancelled with its error in epoch 1", run)
	}
	f.refuse(checkpoint(after(fence), "pay"), persistence.ErrFenced)
}

func advanceWaits(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	w := release(fence, workflow.Waiting, 0)
	w.Reason = "signal paid"
	f.land(w)
	if run := f.run(fence.Run); run.State != workflow.Waiting || run.Reason != "signal paid" || run.Epoch != 2 || run.Owner != "" {
		f.Errorf("run %+v, want waiting for its reason in epoch 2", run)
	}
	if got := f.take(boot, 5); len(got) != 0 {
		f.Errorf("took %v, which waits", ids(got))
	}
}

func advanceReleasesWithEntry(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	w := checkpoint(fence, "pay")
	w.State = workflow.Available
	f.land(w)
	if steps := f.steps(fence.Run); len(steps) != 1 || steps[0].Seq != 1 || steps[0].Epoch != 1 {
		f.Errorf("history %+v, want one line in epoch 1", steps)
	}
	if got := f.take(boot, 1); len(got) != 1 || got[0].Run.Step != "pay" || string(got[0].State) != `{"reserved":true}` {
		f.Errorf("taken next: %+v, want the run at pay with its state", got)
	}
}

func historyDetails(f *fixture) {
	fence := f.started(f.join("a"))
	w := checkpoint(fence, "pay")
	start := time.Now().Add(-time.Minute)
	entry := w.Entry
	entry.Turn, entry.Attempt, entry.StartedAt, entry.FinishedAt = 2, 3, start, start.Add(time.Second)
	entry.Facts = []workflow.Fact{
		{Kind: "llm_call", Doc: []byte(`{"tokens":1}`), At: start},
		{Kind: "llm_call", Doc: []byte(`{"tokens":1}`), At: start}, // the same again counts
		{Kind: "choice", Doc: []byte(`[]`), At: start.Add(time.Millisecond)},
	}
	f.land(w)
	steps := f.steps(fence.Run)
	if len(steps) != 1 {
		f.Fatalf("history %+v, want one line", steps)
	}
	got := steps[0]
	if got.Turn != 2 || got.Attempt != 3 || got.Outcome != workflow.StepCompleted || got.Epoch != 1 || got.Owner != "a" {
		f.Errorf("line %+v, want turn 2, attempt 3, completed in epoch 1 by a", got)
	}
	if !near(got.StartedAt, start) || !near(got.FinishedAt, start.Add(time.Second)) {
		f.Errorf("from %s to %s, want a second from %s", got.StartedAt, got.FinishedAt, start)
	}
	if len(got.Facts) != len(entry.Facts) {
		f.Fatalf("facts %+v, want %+v", got.Facts, entry.Facts)
	}
	for i, want := range entry.Facts {
		if fact := got.Facts[i]; fact.Kind != want.Kind || string(fact.Doc) != string(want.Doc) || !near(fact.At, want.At) {
			f.Errorf("fact %+v, want %+v", fact, want)
		}
	}
}

func documentsSurvive(f *fixture) {
	boot := f.join("a")
	documents := map[string][]byte{
		"empty object":     []byte(`{}`),
		"not only ASCII":   []byte(`{"ä":"日本語 🍵"}`),
		"escaped zero":     []byte(`"\u0000"`),
		"as large as most": append(append([]byte{'"'}, bytes.Repeat([]byte("x"), workflow.MaxState-2)...), '"'),
	}
	for name, document := range documents {
		insert := f.draft()
		insert.Owner, insert.Input = boot, document
		f.land(insert)
		w := completion(persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1})
		w.Entry.State, w.Entry.Output = document, document
		f.land(w)
		run, steps := f.run(insert.Run), f.steps(insert.Run)
		if !bytes.Equal(run.Input, document) || !bytes.Equal(run.Output, document) || !bytes.Equal(steps[0].State, document) {
			f.Errorf("%s: came back changed", name)
		}
	}
}

func documentsAreCopies(f *fixture) {
	boot := f.join("a")
	insert := f.draft()
	insert.Owner = boot
	insert.Input = bytes.Clone(insert.Input)
	f.land(insert)
	scribble(f, insert.Input)
	w := completion(persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1})
	f.land(w)
	scribble(f, w.Entry.State)
	scribble(f, w.Entry.Output)
	for range 2 {
		run, steps := f.run(insert.Run), f.steps(insert.Run)
		if string(run.Input) != `{"item":"tea"}` || string(run.Output) != `{"sent":true}` || string(steps[0].State) != `{"reserved":true}` {
			f.Fatalf("documents %s, %s, %s changed with the caller's", run.Input, run.Output, steps[0].State)
		}
		scribble(f, run.Input)
		scribble(f, run.Output)
		scribble(f, steps[0].State)
	}
}

func scribble(t testing.TB, document []byte) {
	t.Helper()
	for i := range document {
		document[i] = 'x'
	}
}

// equalRuns compares readings of runs.
func equalRuns(a, b workflow.Run) bool {
	times := near(a.CreatedAt, b.CreatedAt) && near(a.DueAt, b.DueAt) &&
		nearOrNil(a.StartedAt, b.StartedAt) && nearOrNil(a.FinishedAt, b.FinishedAt) &&
		nearOrNil(a.Deadline, b.Deadline) && nearOrNil(a.Slot, b.Slot)
	return times && bytes.Equal(a.Input, b.Input) && bytes.Equal(a.Output, b.Output) &&
		a.ID == b.ID && a.Workflow == b.Workflow && a.Version == b.Version && a.State == b.State &&
		a.Queue == b.Queue && a.Priority == b.Priority && a.Key == b.Key && a.Step == b.Step &&
		a.Turn == b.Turn && a.Attempt == b.Attempt && a.Epoch == b.Epoch && a.Crashes == b.Crashes &&
		a.Owner == b.Owner && a.Error == b.Error && a.Reason == b.Reason &&
		slices.Equal(a.Tags, b.Tags) && a.LimitKey == b.LimitKey && a.Schedule == b.Schedule && a.Batch == b.Batch
}

func nearOrNil(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return near(*a, *b)
}
