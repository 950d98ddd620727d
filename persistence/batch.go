package persistence

import (
	"context"
	"fmt"

	"singularity/workflow"
)

// Batches keep runs together of which it is said when all have ended.
type Batches interface {
	// InsertBatch is [Bulk.InsertAll] of runs that become the batch's, and of what
	// the page says of the batch, in the same transaction. The first page makes the
	// batch. Runs that are attached to do not become its, so that a repeated page
	// adds nothing. A page that has another OnEnd than the first one, or that adds
	// runs to a batch that is sealed, is a *workflow.InputError.
	InsertBatch(ctx context.Context, page BatchPage, inserts []Insert) ([]Inserted, error)
	// Batch reads how a batch stands, or gives workflow.ErrBatchNotFound.
	Batch(ctx context.Context, id string) (workflow.BatchStatus, error)
	// CloseBatch seals a batch, as its last page does, and reports whether it was
	// open before. It does not make one: that is workflow.ErrBatchNotFound.
	CloseBatch(ctx context.Context, id string) (changed bool, err error)
	// OpenBatches lists the batches that have not ended, by id.
	OpenBatches(ctx context.Context) ([]string, error)
	// RipeBatches lists those of the batches that can end: they are sealed, and
	// none of their runs goes on. It is a look at one entry of an index for each.
	RipeBatches(ctx context.Context, ids []string) ([]string, error)
	// EndBatch ends a batch that can end, and in the same transaction adds the run
	// that callback makes for it, unless the batch has no OnEnd. It reports whether
	// it did: one that cannot end yet or no more stays as it is, and so does one that
	// somebody else is ending or adding to, for whom it does not wait. An error of
	// callback keeps the batch from ending.
	//
	// A run that is retried at the same moment counts as it was.
	EndBatch(ctx context.Context, id string, callback Callback) (ended bool, err error)
}

// BatchPage is a page of a batch.
type BatchPage struct {
	workflow.Batch
	// CallbackID is for the run of OnEnd, if this page makes the batch.
	CallbackID workflow.RunID
}

// Callback makes the insert of the run that a batch ends with. It is called
// within the store's transaction, and must not wait for anything.
type Callback func(batch BatchPage, end workflow.BatchEnd) (Insert, error)

// InBatch gives inserts to a batch.
func InBatch(page BatchPage, inserts []Insert) []Insert {
	list := make([]Insert, len(inserts))
	for i, insert := range inserts {
		insert.Batch = page.ID
		list[i] = insert
	}
	return list
}

// CheckPage refuses a page of runs, of which it adds some, that does not go
// together with what is known of its batch, sealed or not.
func CheckPage(page, known BatchPage, added int) error {
	switch {
	case page.OnEnd != known.OnEnd && known.OnEnd == "":
		return workflow.Invalidf("on_end", "is %q; the batch %s has none since its first page", page.OnEnd, page.ID)
	case page.OnEnd != known.OnEnd:
		return workflow.Invalidf("on_end", "is %q; the batch %s has %q since its first page", page.OnEnd, page.ID, known.OnEnd)
	case known.Last && added > 0:
		return workflow.Invalidf("batch", "is %q, whose last page was added before; %s; expected a batch of another id", page.ID, moreRuns(added))
	}
	return nil
}

func moreRuns(added int) string {
	if added == 1 {
		return "1 run would be new in it"
	}
	return fmt.Sprintf("%d runs would be new in it", added)
}

// Added counts the runs that were not there before.
func Added(list []Inserted) (count int) {
	for _, inserted := range list {
		if !inserted.Attached {
			count++
		}
	}
	return count
}
