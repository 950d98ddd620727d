package storetest

import (
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var readStories = []story{
	{name: "read/runs are listed newest first and without documents", tell: runsListed},
	{name: "read/filters select runs", tell: runsFiltered},
	{name: "read/tags, schedule, owner, error and time select runs", tell: runsFilteredFurther},
	{name: "read/a batch selects runs", tell: runsOfABatch},
	{name: "read/pages join up while runs are added", tell: runsPaged},
	{name: "read/a page has a bound", tell: runsBounded},
	{name: "read/a run without steps has an empty history", tell: stepsOfNone},
}

func (f *fixture) list(filter workflow.Filter) []workflow.Run {
	f.Helper()
	page, err := f.store.Runs(f.Context(), filter)
	if err != nil {
		f.Fatalf("runs %+v: %v", filter, err)
	}
	return page.Runs
}

func (f *fixture) wantRuns(filter workflow.Filter, want ...workflow.RunID) {
	f.Helper()
	var got []workflow.RunID
	for _, run := range f.list(filter) {
		got = append(got, run.ID)
	}
	if !slices.Equal(got, want) {
		f.Errorf("runs %+v: %v, want %v", filter, got, want)
	}
}

// drafts are n drafts, oldest first.
func (f *fixture) drafts(n int) []persistence.Insert {
	drafts := make([]persistence.Insert, n)
	for i := range drafts {
		drafts[i] = f.draft()
	}
	return drafts
}

func runsListed(f *fixture) {
	boot := f.join("a")
	drafts := f.drafts(3)
	drafts[1].Owner = boot
	f.commit(drafts[1], drafts[2], drafts[0])
	f.land(completion(persistence.Fence{Run: drafts[1].Run, Boot: boot, Epoch: 1}))
	f.wantRuns(workflow.Filter{}, drafts[2].Run, drafts[1].Run, drafts[0].Run)
	for _, run := range f.list(workflow.Filter{}) {
		if run.Input != nil || run.Output != nil {
			f.Errorf("run %s is listed with its documents", run.ID)
		}
		whole := f.run(run.ID)
		whole.Input, whole.Output = nil, nil
		if !equalRuns(run, whole) {
			f.Errorf("listed as %+v, read as %+v", run, whole)
		}
	}
}

func runsFiltered(f *fixture) {
	drafts := f.drafts(4)
	drafts[0].Workflow, drafts[0].Key = "refund", "k"
	drafts[1].Queue, drafts[1].Key = "metrics", "k"
	drafts[2].Due = f.now().Add(time.Hour)
	f.commit(drafts[0], drafts[1], drafts[2], drafts[3])
	f.land(persistence.Cancel{Run: drafts[3].Run})
	id := func(i int) workflow.RunID { return drafts[i].Run }
	f.wantRuns(workflow.Filter{Workflow: "refund"}, id(0))
	f.wantRuns(workflow.Filter{Workflow: flow}, id(3), id(2), id(1))
	f.wantRuns(workflow.Filter{Queue: "metrics"}, id(1))
	f.wantRuns(workflow.Filter{Key: "k"}, id(1), id(0))
	f.wantRuns(workflow.Filter{Workflow: "refund", Key: "k"}, id(0))
	f.wantRuns(workflow.Filter{States: []workflow.State{workflow.Cancelled}}, id(3))
	f.wantRuns(workflow.Filter{States: []workflow.State{workflow.Scheduled, workflow.Cancelled}}, id(3), id(2))
	f.wantRuns(workflow.Filter{States: []workflow.State{workflow.Available}, Queue: queue}, id(0))
	f.wantRuns(workflow.Filter{Workflow: "never started"})
	f.wantRuns(workflow.Filter{Key: `k" OR 1=1 --`})
}

func runsPaged(f *fixture) {
	drafts := f.drafts(7)
	for _, i := range []int{0, 1, 2, 3, 4} {
		f.land(drafts[i])
	}
	page := workflow.Filter{Workflow: flow, Limit: 2}
	next := func() workflow.RunID {
		found, err := f.store.Runs(f.Context(), page)
		if err != nil || found.LookedThrough != 0 {
			f.Fatalf("runs %+v: looked through %d, %v", page, found.LookedThrough, err)
		}
		return found.Next
	}
	f.wantRuns(page, drafts[4].Run, drafts[3].Run)
	page.Before = next()
	f.commit(drafts[5], drafts[6]) // newer than the page before
	f.wantRuns(page, drafts[2].Run, drafts[1].Run)
	page.Before = next()
	f.wantRuns(page, drafts[0].Run)
	if got := next(); !got.IsZero() {
		f.Errorf("after the last page comes %s", got)
	}
	page.Before = drafts[0].Run
	f.wantRuns(page)
}

func runsFilteredFurther(f *fixture) {
	boot := f.join("a")
	drafts := f.drafts(4)
	drafts[0].Tags, drafts[0].Schedule, drafts[0].Slot = []string{"red", "Round"}, "nightly", time.Now()
	drafts[1].Tags = []string{"red", "r%d"}
	drafts[2].Owner, drafts[3].Owner = boot, boot
	f.commit(drafts[0], drafts[1], drafts[2], drafts[3])
	id := func(i int) workflow.RunID { return drafts[i].Run }
	broken := failure(persistence.Fence{Run: id(2), Boot: boot, Epoch: 1})
	broken.Error = "Dial TCP: 100% refused_by über"
	f.land(broken)

	f.wantRuns(workflow.Filter{Tags: []string{"red"}}, id(1), id(0))
	f.wantRuns(workflow.Filter{Tags: []string{"Round", "red"}}, id(0))
	f.wantRuns(workflow.Filter{Tags: []string{"round"}})
	f.wantRuns(workflow.Filter{Tags: []string{"r_d"}})
	f.wantRuns(workflow.Filter{Schedule: "nightly"}, id(0))
	f.wantRuns(workflow.Filter{Owner: "a"}, id(3), id(2))
	f.wantRuns(workflow.Filter{Owner: "a", States: []workflow.State{workflow.Running}}, id(3))
	f.wantRuns(workflow.Filter{Owner: "b"})
	for _, text := range []string{"dial tcp", "100%", "REFUSED_BY", "über"} {
		f.wantRuns(workflow.Filter{ErrorContains: text}, id(2))
	}
	for _, text := range []string{"dial%", "refused by", "ÜBER"} {
		f.wantRuns(workflow.Filter{ErrorContains: text})
	}
	created := f.run(id(3)).CreatedAt
	all := []workflow.RunID{id(3), id(2), id(1), id(0)}
	f.wantRuns(workflow.Filter{CreatedAfter: created.Add(-time.Minute), CreatedBefore: created.Add(time.Minute)}, all...)
	f.wantRuns(workflow.Filter{CreatedAfter: f.run(id(0)).CreatedAt, CreatedBefore: created.Add(time.Microsecond)}, all...)
	f.wantRuns(workflow.Filter{CreatedAfter: created.Add(time.Microsecond)})
	f.wantRuns(workflow.Filter{CreatedBefore: f.run(id(0)).CreatedAt})
}

func runsOfABatch(f *fixture) {
	batch, other := f.drafts(2), f.drafts(2)
	f.insertBatch(page("b-1", true), batch...)
	f.insertBatch(page("b-2", true), other[0])
	f.land(other[1])
	f.wantRuns(workflow.Filter{Batch: "b-1"}, batch[1].Run, batch[0].Run)
	f.wantRuns(workflow.Filter{Batch: "b-1", Limit: 1}, batch[1].Run)
	f.wantRuns(workflow.Filter{Batch: "b-1", Before: batch[1].Run}, batch[0].Run)
	f.wantRuns(workflow.Filter{Batch: "b-2"}, other[0].Run)
	f.wantRuns(workflow.Filter{Batch: "b-1", Queue: "metrics"})
	f.wantRuns(workflow.Filter{Batch: "b-3"})
}

func runsBounded(f *fixture) {
	const many = 1010
	var batch []persistence.Write
	for _, draft := range f.drafts(many) {
		batch = append(batch, draft)
	}
	f.commit(batch...)
	for limit, want := range map[int]int{0: 100, 1: 1, 1000: 1000, many: 1000} {
		if got := len(f.list(workflow.Filter{Limit: limit})); got != want {
			f.Errorf("%d runs of limit %d, want %d", got, limit, want)
		}
	}
}

func stepsOfNone(f *fixture) {
	if steps := f.steps(f.stored()); len(steps) != 0 {
		f.Errorf("history %+v, want none", steps)
	}
}
