package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"singularity/persistence"
	"singularity/workflow"
)

// CancelRuns ends the runs of a page of a filter, see [workflow.Filter.ToCancel].
func (n *Node) CancelRuns(ctx context.Context, filter workflow.Filter, reason string) (workflow.Changes, error) {
	filter, err := filter.ToCancel()
	if err != nil {
		return workflow.Changes{}, fmt.Errorf("cancel runs: %w", err)
	}
	reason = storedText(reason)
	changes, err := n.changeRuns(ctx, filter, func(id workflow.RunID) persistence.Write {
		return persistence.Cancel{Run: id, Reason: reason}
	}, n.cancelled)
	if err != nil {
		return changes, fmt.Errorf("cancel runs: %w", err)
	}
	return changes, nil
}

// RetryRuns takes up the runs of a page of a filter again, see
// [workflow.Filter.ToRetry].
func (n *Node) RetryRuns(ctx context.Context, filter workflow.Filter) (workflow.Changes, error) {
	filter, err := filter.ToRetry()
	if err != nil {
		return workflow.Changes{}, fmt.Errorf("retry runs: %w", err)
	}
	changes, err := n.changeRuns(ctx, filter, func(id workflow.RunID) persistence.Write {
		return persistence.Retry{Run: id}
	}, n.retried)
	if err != nil {
		return changes, fmt.Errorf("retry runs: %w", err)
	}
	return changes, nil
}

// changeRuns makes a change to each run of a page, and has it told of each that
// was made. An error is not of a run but of the store: it may have kept some
// changes from being made, which the same call makes up for.
func (n *Node) changeRuns(
	ctx context.Context, filter workflow.Filter, change func(workflow.RunID) persistence.Write, tell func(workflow.Run),
) (workflow.Changes, error) {
	page, err := n.store.Runs(ctx, filter)
	if err != nil {
		return workflow.Changes{}, err
	}
	type answer struct {
		run     workflow.RunID
		verdict persistence.Verdict
	}
	answers := make(chan answer, len(page.Runs))
	for _, run := range page.Runs {
		n.journal.Append(change(run.ID), func(verdict persistence.Verdict) { answers <- answer{run.ID, verdict} })
	}
	changes := workflow.Changes{Matched: len(page.Runs), Next: page.Next}
	for range page.Runs {
		select {
		case a := <-answers:
			switch cause := a.verdict.Err; {
			case cause == nil:
				changes.Changed++
				tell(*a.verdict.Changed)
			case ofTheRun(cause):
				changes.Refused = append(changes.Refused, workflow.Refusal{Run: a.run, Err: cause})
			default:
				err = cause
			}
		case <-ctx.Done():
			return changes, fmt.Errorf("%w: %w", workflow.ErrOutcomeUnknown, context.Cause(ctx))
		}
	}
	slices.SortFunc(changes.Refused, func(a, b workflow.Refusal) int { return bytes.Compare(b.Run[:], a.Run[:]) })
	return changes, err
}

// ofTheRun tells a refusal that concerns one run alone from an error of the store.
func ofTheRun(err error) bool {
	_, key := errors.AsType[*workflow.KeyConflictError](err)
	_, unique := errors.AsType[*workflow.UniqueError](err)
	return key || unique || errors.Is(err, workflow.ErrWrongState) || errors.Is(err, workflow.ErrRunNotFound)
}
