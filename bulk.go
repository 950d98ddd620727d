package singularity

import (
	"context"

	"singularity/workflow"
)

var _ workflow.BulkEngine = (*Engine)(nil)

// StartRuns implements [workflow.BulkEngine]. Go callers use StartMany of a
// workflow. On an embedded database what else is written waits for it, for about
// half a second if there are 10,000 runs; on Postgres it has a connection of its
// own.
func (e *Engine) StartRuns(ctx context.Context, requests []workflow.StartRequest) ([]workflow.Pending, error) {
	return e.node.StartRuns(ctx, requests)
}

// StartBatch implements [workflow.BulkEngine]. Go callers use StartBatch of a
// workflow.
func (e *Engine) StartBatch(ctx context.Context, batch workflow.Batch, requests []workflow.StartRequest) ([]workflow.Pending, error) {
	return e.node.StartBatch(ctx, batch, requests)
}

// Batch reads how a batch stands, or gives workflow.ErrBatchNotFound.
func (e *Engine) Batch(ctx context.Context, id string) (workflow.BatchStatus, error) {
	return e.node.Batch(ctx, id)
}

// CloseBatch says that no more runs come to a batch, as its last page does: it ends
// once all that it has have ended. It reports whether the batch was open before.
func (e *Engine) CloseBatch(ctx context.Context, id string) (batch workflow.BatchStatus, changed bool, err error) {
	return e.node.CloseBatch(ctx, id)
}
