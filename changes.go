package singularity

import (
	"context"

	"singularity/workflow"
)

// CancelRuns ends the runs that a filter selects, up to its limit: those in its
// States, which must not have ended, or without States all that have not. A filter
// that selects all runs there are is refused. The same filter with Before set to
// Next goes on.
func (e *Engine) CancelRuns(ctx context.Context, filter workflow.Filter, reason string) (workflow.Changes, error) {
	return e.node.CancelRuns(ctx, filter, reason)
}

// RetryRuns makes the runs that a filter selects available again, up to its limit:
// those in its States, or without States those that failed or are quarantined. A
// filter that selects all runs there are is refused. The same filter with Before
// set to Next goes on.
func (e *Engine) RetryRuns(ctx context.Context, filter workflow.Filter) (workflow.Changes, error) {
	return e.node.RetryRuns(ctx, filter)
}
