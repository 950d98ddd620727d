package server

import (
	"context"
	"slices"

	"singularity/messages"
	"singularity/workflow"
)

func (s runService) ListRuns(ctx context.Context, request *messages.ListRunsRequest) (*messages.ListRunsResponse, error) {
	filter, err := filterOf(request)
	if err != nil {
		return nil, err
	}
	page, err := s.engine.Runs(ctx, filter)
	if err != nil {
		return nil, err
	}
	response := &messages.ListRunsResponse{Next: optionalID(page.Next), LookedThrough: int32(page.LookedThrough)}
	for _, run := range page.Runs {
		response.Runs = append(response.Runs, runMessage(run))
	}
	return response, nil
}

func (s runService) CancelRuns(ctx context.Context, request *messages.CancelRunsRequest) (*messages.CancelRunsResponse, error) {
	filter, err := filterOf(request.GetRuns())
	if err != nil {
		return nil, err
	}
	var changes workflow.Changes
	if request.GetDryRun() {
		changes, err = s.count(ctx, filter, workflow.Filter.ToCancel)
	} else {
		changes, err = s.engine.CancelRuns(ctx, filter, request.GetReason())
	}
	if err != nil {
		return nil, err
	}
	return &messages.CancelRunsResponse{Changes: changesMessage(changes)}, nil
}

func (s runService) RetryRuns(ctx context.Context, request *messages.RetryRunsRequest) (*messages.RetryRunsResponse, error) {
	filter, err := filterOf(request.GetRuns())
	if err != nil {
		return nil, err
	}
	var changes workflow.Changes
	if request.GetDryRun() {
		changes, err = s.count(ctx, filter, workflow.Filter.ToRetry)
	} else {
		changes, err = s.engine.RetryRuns(ctx, filter)
	}
	if err != nil {
		return nil, err
	}
	return &messages.RetryRunsResponse{Changes: changesMessage(changes)}, nil
}

// count is what would be changed of a page, of those that can be.
func (s runService) count(
	ctx context.Context, filter workflow.Filter, possible func(workflow.Filter) (workflow.Filter, error),
) (workflow.Changes, error) {
	filter, err := possible(filter)
	if err != nil {
		return workflow.Changes{}, err
	}
	page, err := s.engine.Runs(ctx, filter)
	return workflow.Changes{Matched: len(page.Runs), Next: page.Next}, err
}

func filterOf(request *messages.ListRunsRequest) (workflow.Filter, error) {
	filter := workflow.Filter{
		Workflow:      request.GetWorkflow(),
		Queue:         request.GetQueue(),
		Key:           request.GetKey(),
		Tags:          request.GetTags(),
		Schedule:      request.GetSchedule(),
		Owner:         request.GetOwner(),
		Batch:         request.GetBatch(),
		CreatedAfter:  timeOf(request.GetCreatedAfter()),
		CreatedBefore: timeOf(request.GetCreatedBefore()),
		ErrorContains: request.GetErrorContains(),
		Limit:         int(request.GetLimit()),
	}
	for _, name := range request.GetStates() {
		state := workflow.State(name)
		if !slices.Contains(workflow.States, state) {
			return filter, workflow.Invalidf("states", "has %q; expected one of %v", name, workflow.States)
		}
		filter.States = append(filter.States, state)
	}
	if request.GetBefore() == "" {
		return filter, nil
	}
	var err error
	filter.Before, err = workflow.ParseRunID(request.GetBefore())
	return filter, err
}

func changesMessage(changes workflow.Changes) *messages.RunChanges {
	message := &messages.RunChanges{
		Matched: int32(changes.Matched), Changed: int32(changes.Changed), Next: optionalID(changes.Next),
	}
	for _, refusal := range changes.Refused {
		message.Refused = append(message.Refused, &messages.RunRefusal{Id: refusal.Run.String(), Error: text(refusal.Err.Error())})
	}
	return message
}

// optionalID is empty for the zero id.
func optionalID(id workflow.RunID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
