package llm

import (
	"context"
	"fmt"
	"time"
)

// within bounds a call of a model by the time that the policy gives it. The bound of
// the provider holds besides. Stop releases what the bound takes.
func (r *Router) within(ctx context.Context, call *Call, asked *target) (bounded context.Context, stop context.CancelFunc) {
	limit := r.patience(call, asked)
	if limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, limit, &Error{
		Class: Timeout, Provider: asked.Provider,
		Err: fmt.Errorf("the answer was not complete within %s, as nearly all of %s for %s are", limit, asked.Name, call.TaskType),
	})
}

// patience is how long the policy has a call of a model take; 0 when it does not say.
// One that is old does not: were models slower since, nobody would learn of it.
func (r *Router) patience(call *Call, asked *target) time.Duration {
	plan := r.plan()
	if plan == nil || plan.stale() {
		return 0
	}
	row := plan.row(call.TaskType, call.Choice.Bucket)
	if row == nil {
		return 0
	}
	for i, target := range row.arms.targets {
		if target == asked {
			return time.Duration(row.arms.row.Arms[i].TimeoutMillis) * time.Millisecond
		}
	}
	return 0
}
