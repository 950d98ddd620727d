package storetest

import (
	"errors"
	"slices"
	"sync"

	"singularity/persistence"
	"singularity/workflow"
)

var batchOfRunsStories = []story{
	{name: "batches/one ends when none of its runs goes on", tell: batchEnds},
	{name: "batches/one that is not sealed does not end", tell: batchUnsealed},
	{name: "batches/one that has ended does not end again", tell: batchEndsOnce},
	{name: "batches/of many who end one at once, one does", tell: batchEndsOnceAtOnce},
	{name: "batches/a callback that cannot be made keeps it open", tell: batchCallbackFails},
	{name: "batches/one without runs ends", tell: batchWithoutRuns},
	{name: "batches/one that nobody wants to hear of ends in silence", tell: batchInSilence},
	{name: "batches/a repeated page adds nothing", tell: batchRepeated},
	{name: "batches/runs that were there before are not its", tell: batchAttaches},
	{name: "batches/pages that do not go together are refused whole", tell: batchRefused},
	{name: "batches/a run that is retried keeps it open", tell: batchRetried},
	{name: "batches/retention spares the runs of one that has not ended", tell: batchSpared},
	{name: "batches/open ones are listed until they end", tell: batchesOpen},
	{name: "batches/one says how it stands", tell: batchStands},
	{name: "batches/one is closed once, and ends then", tell: batchClosed},
	{name: "batches/one that nobody made is not there", tell: batchUnknown},
}

// page is a page of a batch that ends with a run of report.
func page(id string, last bool) persistence.BatchPage {
	return persistence.BatchPage{
		Batch: workflow.Batch{ID: id, OnEnd: "report", Last: last}, CallbackID: workflow.NewRunID(),
	}
}

func (f *fixture) insertBatch(p persistence.BatchPage, inserts ...persistence.Insert) []persistence.Inserted {
	f.Helper()
	list, err := f.store.InsertBatch(f.Context(), p, inserts)
	if err != nil || len(list) != len(inserts) {
		f.Fatalf("insert %d runs of batch %s: %d answers, %v", len(inserts), p.ID, len(list), err)
	}
	return list
}

// refusePage adds a page that must be refused for what a field says.
func (f *fixture) refusePage(field string, p persistence.BatchPage, inserts ...persistence.Insert) {
	f.Helper()
	_, err := f.store.InsertBatch(f.Context(), p, inserts)
	if refusal, _ := errors.AsType[*workflow.InputError](err); refusal == nil || refusal.Field != field {
		f.Errorf("insert into batch %s: %v, want field %s refused", p.ID, err, field)
	}
	f.absent(inserts...)
}

// report makes the insert of a callback's run, and keeps what it is told.
type report struct {
	mu    sync.Mutex
	calls []workflow.BatchEnd
	runs  []workflow.RunID
}

func (r *report) insert(batch persistence.BatchPage, end workflow.BatchEnd) (persistence.Insert, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.runs = append(r.calls, end), append(r.runs, batch.CallbackID)
	return persistence.Insert{
		Run: batch.CallbackID, Workflow: batch.OnEnd, Version: 1, Step: "write", Queue: queue,
		Input: []byte(`{}`), InputHash: [32]byte{7},
	}, nil
}

func (f *fixture) endBatch(id string, callback persistence.Callback) bool {
	f.Helper()
	ended, err := f.store.EndBatch(f.Context(), id, callback)
	if err != nil {
		f.Fatalf("end batch %s: %v", id, err)
	}
	return ended
}

// wantRipe checks whether a batch is said to be able to end.
func (f *fixture) wantRipe(id string, want bool) {
	f.Helper()
	ripe, err := f.store.RipeBatches(f.Context(), []string{"other", id})
	if err != nil || slices.Contains(ripe, "other") || slices.Contains(ripe, id) != want {
		f.Fatalf("of batches other and %s, %v can end (%v); want the second: %t", id, ripe, err, want)
	}
}

func batchEnds(f *fixture) {
	boot := f.join("a")
	completes, fails, cancelled, quarantined := f.draft(), f.draft(), f.draft(), f.draft()
	quarantined.Queue = "metrics"
	f.insertBatch(page("b", true), completes, fails, cancelled, quarantined)
	var r report
	for _, activation := range f.take(boot, 2) {
		f.wantRipe("b", false)
		if f.endBatch("b", r.insert) {
			f.Fatalf("the batch ended, and runs of it go on")
		}
		if fence := fenceOf(boot, activation); activation.Run.ID == completes.Run {
			f.land(completion(fence))
		} else {
			f.land(failure(fence))
		}
	}
	f.wantRipe("b", false)
	f.land(persistence.Cancel{Run: cancelled.Run})
	f.wantRipe("b", false)
	f.quarantine(quarantined.Run)
	f.wantRipe("b", true)
	if !f.endBatch("b", r.insert) {
		f.Fatalf("the batch did not end")
	}
	want := workflow.BatchEnd{Batch: "b", Total: 4, Completed: 1, Failed: 1, Cancelled: 1, Quarantined: 1}
	if !slices.Equal(r.calls, []workflow.BatchEnd{want}) {
		f.Errorf("it ended with %+v, want %+v", r.calls, want)
	}
	run := f.run(r.runs[0])
	if run.Workflow != "report" || run.State != workflow.Available || run.Batch != "" {
		f.Errorf("the callback is %+v, want an available run of report", run)
	}
	if got := f.run(completes.Run).Batch; got != "b" {
		f.Errorf("the run is of batch %q, want b", got)
	}
}

func batchUnsealed(f *fixture) {
	insert := f.draft()
	f.insertBatch(page("b", false), insert)
	f.land(persistence.Cancel{Run: insert.Run})
	f.wantRipe("b", false)
	var r report
	if f.endBatch("b", r.insert) || len(r.calls) > 0 {
		f.Fatalf("the batch ended before its last page")
	}
	f.insertBatch(page("b", true))
	f.wantRipe("b", true)
}

func batchEndsOnce(f *fixture) {
	f.insertBatch(page("b", true))
	var r report
	first, second := f.endBatch("b", r.insert), f.endBatch("b", r.insert)
	if !first || second || len(r.calls) != 1 {
		f.Errorf("it ended: %t, and then: %t, with %d callbacks; want true, false and 1", first, second, len(r.calls))
	}
	f.wantRipe("b", false)
	if f.endBatch("unknown", r.insert) {
		f.Errorf("a batch ended that there is not")
	}
}

func batchEndsOnceAtOnce(f *fixture) {
	insert := f.draft()
	f.insertBatch(page("b", true), insert)
	f.land(persistence.Cancel{Run: insert.Run})
	var (
		r     report
		group sync.WaitGroup
		ended = make(chan bool, 8)
	)
	for range cap(ended) {
		group.Go(func() {
			did, err := f.store.EndBatch(f.Context(), "b", r.insert)
			if err != nil {
				f.Errorf("end batch: %v", err)
			}
			ended <- did
		})
	}
	group.Wait()
	close(ended)
	count := 0
	for did := range ended {
		if did {
			count++
		}
	}
	if count != 1 || len(r.calls) != 1 {
		f.Errorf("it ended %d times with %d callbacks, want once with one", count, len(r.calls))
	}
}

func batchCallbackFails(f *fixture) {
	f.insertBatch(page("b", true))
	refused := errors.New("no such workflow here")
	_, err := f.store.EndBatch(f.Context(), "b", func(persistence.BatchPage, workflow.BatchEnd) (persistence.Insert, error) {
		return persistence.Insert{}, refused
	})
	if !errors.Is(err, refused) {
		f.Errorf("end batch: %v, want %v", err, refused)
	}
	f.wantRipe("b", true)
	var r report
	if !f.endBatch("b", r.insert) {
		f.Errorf("it did not end later")
	}
}

func batchWithoutRuns(f *fixture) {
	f.insertBatch(page("b", true))
	var r report
	if !f.endBatch("b", r.insert) || r.calls[0] != (workflow.BatchEnd{Batch: "b"}) {
		f.Errorf("it ended with %+v, want no runs", r.calls)
	}
}

func batchInSilence(f *fixture) {
	p := page("b", true)
	p.OnEnd = ""
	f.insertBatch(p)
	var r report
	if !f.endBatch("b", r.insert) || len(r.calls) > 0 {
		f.Errorf("it ended with %+v, want no callback", r.calls)
	}
}

func batchRepeated(f *fixture) {
	first, second := f.draft(), f.keyed("k")
	one := page("b", false)
	f.insertBatch(one, first, second)
	for range 2 {
		for i, again := range f.insertBatch(page("b", true), first, second) {
			if !again.Attached {
				f.Errorf("answer %d is %+v, want it attached", i, again)
			}
		}
	}
	f.land(persistence.Cancel{Run: first.Run})
	f.land(persistence.Cancel{Run: second.Run})
	var r report
	if !f.endBatch("b", r.insert) || r.calls[0].Total != 2 || r.runs[0] != one.CallbackID {
		f.Errorf("it ended with %+v as %v, want 2 runs as %s", r.calls, r.runs, one.CallbackID)
	}
}

func batchAttaches(f *fixture) {
	before := f.keyed("k")
	f.land(before)
	again := f.keyed("k")
	if list := f.insertBatch(page("b", true), again); !list[0].Attached {
		f.Fatalf("answer %+v, want it attached", list[0])
	}
	var r report
	if !f.endBatch("b", r.insert) || r.calls[0].Total != 0 {
		f.Errorf("it ended with %+v, want no runs", r.calls)
	}
}

func batchRefused(f *fixture) {
	f.insertBatch(page("b", false), f.draft())
	other := page("b", false)
	other.OnEnd = "other"
	f.refusePage("on_end", other, f.draft())
	f.insertBatch(page("b", true))
	f.refusePage("batch", page("b", true), f.draft())

	conflict, fresh := f.keyed("k"), f.draft()
	f.land(f.keyed("k"))
	conflict.InputHash = [32]byte{2}
	_, err := f.store.InsertBatch(f.Context(), page("c", true), []persistence.Insert{fresh, conflict})
	if refusal, _ := errors.AsType[*workflow.StartError](err); refusal == nil || refusal.Index != 1 {
		f.Errorf("insert: %v, want the second refused", err)
	}
	f.absent(fresh)
	f.wantRipe("c", false)
}

func batchRetried(f *fixture) {
	insert := f.draft()
	f.insertBatch(page("b", true), insert)
	f.land(persistence.Cancel{Run: insert.Run})
	f.land(persistence.Retry{Run: insert.Run})
	f.wantRipe("b", false)
	f.land(persistence.Cancel{Run: insert.Run})
	f.wantRipe("b", true)
}

func batchSpared(f *fixture) {
	ended, goesOn, plain := f.draft(), f.draft(), f.draft()
	f.insertBatch(page("b", true), ended, goesOn)
	f.land(plain)
	f.land(persistence.Cancel{Run: ended.Run})
	f.land(persistence.Cancel{Run: plain.Run})
	all := persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: expired, Failed: expired}}
	if got := f.prune(all, 100); got != 1 || f.gone(ended.Run) || !f.gone(plain.Run) {
		f.Errorf("deleted %d runs, want the one without a batch", got)
	}
	f.land(persistence.Cancel{Run: goesOn.Run})
	var r report
	if !f.endBatch("b", r.insert) || r.calls[0].Total != 2 {
		f.Fatalf("it ended with %+v, want 2 runs", r.calls)
	}
	if got := f.prune(all, 100); got != 2 {
		f.Errorf("deleted %d runs, want the 2 of the batch", got)
	}
	f.insertBatch(page("b", false), f.draft()) // the batch is gone, too: this is a new one
}

func batchesOpen(f *fixture) {
	for _, id := range []string{"a", "m", "z"} {
		f.insertBatch(page(id, id == "m"))
	}
	open := func(want ...string) {
		f.Helper()
		if got, err := f.store.OpenBatches(f.Context()); err != nil || !slices.Equal(got, want) {
			f.Errorf("open are %v (%v), want %v", got, err, want)
		}
	}
	open("a", "m", "z")
	var r report
	f.endBatch("m", r.insert)
	open("a", "z")
}
