package storetest

import (
	"errors"
	"maps"

	"singularity/workflow"
)

func (f *fixture) batch(id string) workflow.BatchStatus {
	f.Helper()
	status, err := f.store.Batch(f.Context(), id)
	if err != nil || status.ID != id {
		f.Fatalf("batch %s: %+v, %v", id, status, err)
	}
	return status
}

func (f *fixture) closeBatch(id string) bool {
	f.Helper()
	changed, err := f.store.CloseBatch(f.Context(), id)
	if err != nil {
		f.Fatalf("close batch %s: %v", id, err)
	}
	return changed
}

func batchStands(f *fixture) {
	boot := f.join("a")
	first := page("b", false)
	f.insertBatch(first, f.draft(), f.draft())
	f.insertBatch(page("b", false), f.draft())
	f.insertBatch(page("other", false), f.draft())
	f.land(completion(fenceOf(boot, f.take(boot, 1)[0])))

	open := f.batch("b")
	states := map[workflow.State]int{workflow.Completed: 1, workflow.Available: 2}
	if open.OnEnd != "report" || open.Total != 3 || !maps.Equal(open.States, states) {
		f.Errorf("the batch is %+v, want three runs, %v, and report at its end", open, states)
	}
	if open.CreatedAt.IsZero() || open.ClosedAt != nil || open.EndedAt != nil || !open.OnEndRun.IsZero() {
		f.Errorf("the batch is %+v, want it open", open)
	}

	f.insertBatch(page("b", true))
	for _, activation := range f.take(boot, 3) {
		f.land(completion(fenceOf(boot, activation)))
	}
	var r report
	f.endBatch("b", r.insert)
	ended := f.batch("b")
	if ended.ClosedAt == nil || ended.EndedAt == nil || ended.OnEndRun != first.CallbackID || ended.States[workflow.Completed] != 3 {
		f.Errorf("the batch is %+v, want it ended with run %s", ended, first.CallbackID)
	}
	if silent := f.batch("other"); silent.Total != 1 || silent.States[workflow.Completed] != 1 {
		f.Errorf("the other batch is %+v, want one completed run in it", silent)
	}
}

func batchClosed(f *fixture) {
	boot := f.join("a")
	f.insertBatch(page("b", false), f.draft())
	f.land(completion(fenceOf(boot, f.take(boot, 1)[0])))
	f.wantRipe("b", false)
	if !f.closeBatch("b") {
		f.Errorf("closing the open batch changed nothing")
	}
	closed := f.batch("b").ClosedAt
	if closed == nil || f.closeBatch("b") || !f.batch("b").ClosedAt.Equal(*closed) {
		f.Errorf("the batch is closed since %v, want it closed once", closed)
	}
	f.refusePage("batch", page("b", false), f.draft())
	f.wantRipe("b", true)
}

func batchUnknown(f *fixture) {
	if _, err := f.store.Batch(f.Context(), "b"); !errors.Is(err, workflow.ErrBatchNotFound) {
		f.Errorf("batch: %v, want %v", err, workflow.ErrBatchNotFound)
	}
	if _, err := f.store.CloseBatch(f.Context(), "b"); !errors.Is(err, workflow.ErrBatchNotFound) {
		f.Errorf("close batch: %v, want %v", err, workflow.ErrBatchNotFound)
	}
	if open, err := f.store.OpenBatches(f.Context()); err != nil || len(open) != 0 {
		f.Errorf("open batches are %v (%v), want none", open, err)
	}
}
