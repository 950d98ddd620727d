package server

import (
	"context"
	"encoding/json"
	"fmt"

	"connectrpc.com/connect"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

// runService implements [messagesconnect.RunServiceHandler].
type runService struct{ engine Engine }

var _ messagesconnect.RunServiceHandler = runService{}

func (s runService) StartRun(ctx context.Context, message *messages.StartRunRequest) (*messages.StartRunResponse, error) {
	request, err := startRequest(message)
	if err != nil {
		return nil, err
	}
	pending, err := s.engine.StartRun(ctx, request)
	if err != nil {
		return nil, err
	}
	return startedMessage(pending), nil
}

func (s runService) StartRuns(ctx context.Context, message *messages.StartRunsRequest) (*messages.StartRunsResponse, error) {
	requests := make([]workflow.StartRequest, len(message.GetRuns()))
	for i, start := range message.GetRuns() {
		var err error
		if requests[i], err = startRequest(start); err != nil {
			return nil, &workflow.StartError{Index: i, Err: err}
		}
	}
	pending, err := s.startRuns(ctx, message.GetBatch(), requests)
	if err != nil {
		return nil, err
	}
	response := &messages.StartRunsResponse{Runs: make([]*messages.StartRunResponse, len(pending))}
	for i, run := range pending {
		response.Runs[i] = startedMessage(run)
	}
	return response, nil
}

// startRuns starts runs, as a page of a batch if there is one.
func (s runService) startRuns(ctx context.Context, batch *messages.Batch, requests []workflow.StartRequest) ([]workflow.Pending, error) {
	if batch == nil {
		return s.engine.StartRuns(ctx, requests)
	}
	return s.engine.StartBatch(ctx, workflow.Batch{ID: batch.GetId(), OnEnd: batch.GetOnEnd(), Last: batch.GetLast()}, requests)
}

func startRequest(request *messages.StartRunRequest) (workflow.StartRequest, error) {
	var id workflow.RunID
	if request.GetId() != "" {
		var err error
		if id, err = workflow.ParseRunID(request.GetId()); err != nil {
			return workflow.StartRequest{}, err
		}
	}
	unique, err := uniqueOf(request.GetUnique())
	if err != nil {
		return workflow.StartRequest{}, err
	}
	return workflow.StartRequest{
		Workflow: request.GetWorkflow(),
		Input:    json.RawMessage(request.GetInputJson()),
		Options: workflow.Options{
			ID:       id,
			Key:      request.GetKey(),
			Queue:    request.GetQueue(),
			Priority: int(request.GetPriority()),
			Due:      timeOf(request.GetDueAt()),
			Delay:    request.GetDelay().AsDuration(),
			Deadline: request.GetDeadline().AsDuration(),
			Tags:     request.GetTags(),
			Unique:   unique,
		},
	}, nil
}

func startedMessage(run workflow.Pending) *messages.StartRunResponse {
	return &messages.StartRunResponse{Id: run.ID().String(), Attached: run.Attached()}
}

func (s runService) GetRun(ctx context.Context, request *messages.GetRunRequest) (*messages.GetRunResponse, error) {
	id, err := workflow.ParseRunID(request.GetId())
	if err != nil {
		return nil, err
	}
	run, err := s.engine.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	return &messages.GetRunResponse{Run: runMessage(run)}, nil
}

func (s runService) WatchRun(ctx context.Context, request *messages.WatchRunRequest, stream *connect.ServerStream[messages.WatchRunResponse]) error {
	id, err := workflow.ParseRunID(request.GetId())
	if err != nil {
		return err
	}
	events, err := s.engine.Watch(ctx, id)
	if err != nil {
		return err
	}
	ended := false
	err = forward(ctx, stream, events, func(event workflow.Event) *messages.WatchRunResponse {
		ended = event.Kind == workflow.RunEnded
		return &messages.WatchRunResponse{Event: eventMessage(event)}
	})
	if err == nil && !ended {
		return fmt.Errorf("watch run %s: %w", id, workflow.ErrDraining)
	}
	return err
}

func (s runService) CancelRun(ctx context.Context, request *messages.CancelRunRequest) (*messages.CancelRunResponse, error) {
	id, err := workflow.ParseRunID(request.GetId())
	if err != nil {
		return nil, err
	}
	run, err := s.engine.Cancel(ctx, id, request.GetReason())
	if err != nil {
		return nil, err
	}
	return &messages.CancelRunResponse{Run: runMessage(run)}, nil
}

func (s runService) RetryRun(ctx context.Context, request *messages.RetryRunRequest) (*messages.RetryRunResponse, error) {
	id, err := workflow.ParseRunID(request.GetId())
	if err != nil {
		return nil, err
	}
	run, err := s.engine.Retry(ctx, id)
	if err != nil {
		return nil, err
	}
	return &messages.RetryRunResponse{Run: runMessage(run)}, nil
}

func (s runService) ScoreRun(ctx context.Context, request *messages.ScoreRunRequest) (*messages.ScoreRunResponse, error) {
	id, err := workflow.ParseRunID(request.GetId())
	if err != nil {
		return nil, err
	}
	scored, err := s.engine.Score(ctx, id, workflow.Score{Name: request.GetName(), Value: request.GetValue(), Step: request.GetStep()})
	if err != nil {
		return nil, err
	}
	return &messages.ScoreRunResponse{
		Seq: scored.Seq, Step: text(scored.Step), Record: recordMessage(scored.Fact),
	}, nil
}

func (s runService) ListSteps(ctx context.Context, request *messages.ListStepsRequest) (*messages.ListStepsResponse, error) {
	id, err := workflow.ParseRunID(request.GetId())
	if err != nil {
		return nil, err
	}
	steps, err := s.engine.Steps(ctx, id)
	if err != nil {
		return nil, err
	}
	response := &messages.ListStepsResponse{}
	for _, step := range steps {
		response.Steps = append(response.Steps, stepMessage(step))
	}
	return response, nil
}

func uniqueOf(message *messages.Unique) (workflow.Unique, error) {
	by, err := workflow.ParseUniqueBy(message.GetBy()...)
	return workflow.Unique{
		By: by, Within: message.GetWithin().AsDuration(), OnConflict: workflow.OnConflict(message.GetOnConflict()),
	}, err
}

func runMessage(run workflow.Run) *messages.Run {
	return &messages.Run{
		Id:         run.ID.String(),
		Workflow:   run.Workflow,
		Version:    int32(run.Version),
		State:      string(run.State),
		Queue:      run.Queue,
		Priority:   int32(run.Priority),
		Key:        text(run.Key),
		Step:       run.Step,
		Turn:       int32(run.Turn),
		Attempt:    int32(run.Attempt),
		Epoch:      run.Epoch,
		Crashes:    int32(run.Crashes),
		Owner:      run.Owner,
		Error:      text(run.Error),
		Reason:     text(run.Reason),
		InputJson:  text(run.Input),
		OutputJson: text(run.Output),
		CreatedAt:  timestamp(run.CreatedAt),
		DueAt:      timestamp(run.DueAt),
		StartedAt:  optionalTimestamp(run.StartedAt),
		FinishedAt: optionalTimestamp(run.FinishedAt),
		Deadline:   optionalTimestamp(run.Deadline),
		Tags:       run.Tags,
		LimitKey:   text(run.LimitKey),
		Schedule:   run.Schedule,
		Slot:       optionalTimestamp(run.Slot),
		Batch:      run.Batch,
	}
}

func stepMessage(step workflow.StepRun) *messages.StepRun {
	message := &messages.StepRun{
		Seq:        step.Seq,
		Step:       step.Step,
		Turn:       int32(step.Turn),
		Attempt:    int32(step.Attempt),
		Outcome:    string(step.Outcome),
		Epoch:      step.Epoch,
		Owner:      step.Owner,
		StateJson:  text(step.State),
		Error:      text(step.Error),
		StartedAt:  timestamp(step.StartedAt),
		FinishedAt: timestamp(step.FinishedAt),
	}
	for _, fact := range step.Facts {
		message.Records = append(message.Records, recordMessage(fact))
	}
	return message
}

func recordMessage(fact workflow.Fact) *messages.Record {
	return &messages.Record{Kind: text(fact.Kind), DocJson: text(fact.Doc), At: timestamp(fact.At), Scores: fact.Scores}
}

func eventMessage(event workflow.Event) *messages.RunEvent {
	message := &messages.RunEvent{
		Kind:         string(event.Kind),
		Step:         event.Step,
		Attempt:      int32(event.Attempt),
		ProgressJson: text(event.Progress),
		Error:        text(event.Error),
		RetryIn:      duration(event.Retry),
		Elapsed:      duration(event.Elapsed),
	}
	if event.Ended != nil {
		message.Run = runMessage(*event.Ended)
	}
	return message
}
