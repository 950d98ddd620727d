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
