package storetest

import (
	"reflect"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var resultStories = []story{
	{name: "results/a completed run leaves its summary", tell: resultOfCompleted},
	{name: "results/a failed run leaves its summary and error", tell: resultOfFailed},
	{name: "results/a run without a summary leaves none", tell: resultOfNone},
	{name: "results/a retried run replaces its result", tell: resultReplaced},
}

func (f *fixture) jobResult(id workflow.RunID) (JobResult, bool) {
	f.Helper()
	result, found, err := f.config.JobResult(f.Context(), f.store, id)
	if err != nil {
		f.Fatalf("job result of run %s: %v", id, err)
	}
	return result, found
}

func summary() *workflow.Summary {
	cost := 0.004
	return &workflow.Summary{
		Model: "m", Tokens: 12, CostCents: &cost, Patterns: []string{"greeting", "order"},
		Insights: []byte(`{"calm":true}`), Input: []byte(`{"n":1}`), Result: []byte(`{"n":2}`),
	}
}

func resultOfCompleted(f *fixture) {
	fence := f.started(f.join("a"))
	w := completion(fence)
	w.Summary = summary()
	f.land(w)
	got, found := f.jobResult(fence.Run)
	if !found {
		f.Fatalf("no job result")
	}
	if got.Run != fence.Run || got.Instance != "a" || got.JobType != flow || !got.Success || got.ErrorReason != "" {
		f.Errorf("job result %+v, want a success of %s on a", got, flow)
	}
	if got.Duration < 0 || got.Duration > time.Minute {
		f.Errorf("duration %s", got.Duration)
	}
	if !reflect.DeepEqual(got.Summary, *summary()) {
		f.Errorf("summary %+v, want %+v", got.Summary, *summary())
	}
}

func resultOfFailed(f *fixture) {
	fence := f.started(f.join("a"))
	w := failure(fence)
	w.Summary = &workflow.Summary{Model: "m", ErrorClass: "overload"}
	f.land(w)
	got, found := f.jobResult(fence.Run)
	if !found || got.Success || got.ErrorReason != "out of tea" || got.Summary.ErrorClass != "overload" || got.Summary.CostCents != nil {
		f.Errorf("job result %+v, %t; want a failure with its error and no cost", got, found)
	}
}

func resultOfNone(f *fixture) {
	boot := f.join("a")
	completed, released := f.started(boot), f.started(boot)
	f.land(completion(completed))
	w := release(released, workflow.Available, 0)
	w.Summary = summary() // not the end of the run
	f.land(w)
	for _, id := range []workflow.RunID{completed.Run, released.Run} {
		if got, found := f.jobResult(id); found {
			f.Errorf("job result %+v, want none", got)
		}
	}
}

func resultReplaced(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	failed := failure(fence)
	failed.Summary = summary()
	f.land(failed)
	f.land(persistence.Retry{Run: fence.Run})
	completed := completion(fenceOf(boot, f.take(boot, 1)[0]))
	completed.Summary = &workflow.Summary{Model: "better"}
	f.land(completed)
	got, found := f.jobResult(fence.Run)
	if !found || !got.Success || got.ErrorReason != "" || !reflect.DeepEqual(got.Summary, *completed.Summary) {
		f.Errorf("job result %+v, %t; want that of the retry alone", got, found)
	}
}
