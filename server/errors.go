package server

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"singularity/messages"
	"singularity/workflow"
)

// translator turns the errors of an engine into those of the API, for every
// call in one place.
type translator struct{}

var _ connect.Interceptor = translator{}

// WrapUnary implements [connect.Interceptor].
func (translator) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		response, err := next(ctx, request)
		return response, translate(err)
	}
}

// WrapStreamingHandler implements [connect.Interceptor].
func (translator) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) error {
		return translate(next(ctx, stream))
	}
}

// WrapStreamingClient implements [connect.Interceptor]: it changes nothing.
func (translator) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// sentinels are the errors that carry no data, with what they become. An
// error that is several of them is the first.
var sentinels = []struct {
	err    error
	code   connect.Code
	reason messages.ErrorDetail_Reason
}{
	{workflow.ErrUnknownWorkflow, connect.CodeNotFound, messages.ErrorDetail_REASON_UNKNOWN_WORKFLOW},
	{workflow.ErrRunNotFound, connect.CodeNotFound, messages.ErrorDetail_REASON_RUN_NOT_FOUND},
	{workflow.ErrAgentNotFound, connect.CodeNotFound, messages.ErrorDetail_REASON_AGENT_NOT_FOUND},
	{workflow.ErrScheduleNotFound, connect.CodeNotFound, messages.ErrorDetail_REASON_SCHEDULE_NOT_FOUND},
	{workflow.ErrScheduleExists, connect.CodeAlreadyExists, messages.ErrorDetail_REASON_SCHEDULE_EXISTS},
	{workflow.ErrBatchNotFound, connect.CodeNotFound, messages.ErrorDetail_REASON_BATCH_NOT_FOUND},
	{workflow.ErrActorNotFound, connect.CodeNotFound, messages.ErrorDetail_REASON_ACTOR_NOT_FOUND},
	{workflow.ErrUnreachable, connect.CodeUnavailable, messages.ErrorDetail_REASON_UNREACHABLE},
	{workflow.ErrNoReply, connect.CodeDeadlineExceeded, messages.ErrorDetail_REASON_NO_REPLY},
	{workflow.ErrStepUnknown, connect.CodeFailedPrecondition, messages.ErrorDetail_REASON_UNKNOWN_STEP},
	{workflow.ErrWrongState, connect.CodeFailedPrecondition, messages.ErrorDetail_REASON_WRONG_STATE},
	{workflow.ErrNothingToScore, connect.CodeFailedPrecondition, messages.ErrorDetail_REASON_NOTHING_TO_SCORE},
	{workflow.ErrNodesNotReady, connect.CodeFailedPrecondition, messages.ErrorDetail_REASON_NODES_NOT_READY},
	{workflow.ErrQueueFull, connect.CodeResourceExhausted, messages.ErrorDetail_REASON_QUEUE_FULL},
	{workflow.ErrOutcomeUnknown, connect.CodeUnavailable, messages.ErrorDetail_REASON_OUTCOME_UNKNOWN},
	{workflow.ErrDraining, connect.CodeUnavailable, messages.ErrorDetail_REASON_DRAINING},
	{workflow.ErrUnavailable, connect.CodeUnavailable, messages.ErrorDetail_REASON_STORE_UNAVAILABLE},
}

// translate returns the API's form of an engine's error. Its text stays.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if done := (*connect.Error)(nil); errors.As(err, &done) {
		return err
	}
	var (
		input    *workflow.InputError
		limit    *workflow.LimitError
		conflict *workflow.KeyConflictError
		unique   *workflow.UniqueError
		unknown  *workflow.UnknownMessageError
	)
	switch {
	case errors.As(err, &input):
		return refusalOf(connect.CodeInvalidArgument, err, &messages.ErrorDetail{
			Reason: messages.ErrorDetail_REASON_INVALID_INPUT, Field: text(input.Field),
		})
	case errors.As(err, &limit):
		return refusalOf(connect.CodeInvalidArgument, err, &messages.ErrorDetail{
			Reason: messages.ErrorDetail_REASON_TOO_LARGE, Field: limit.What, Size: int64(limit.Size), Limit: int64(limit.Limit),
		})
	case errors.As(err, &conflict):
		return refusalOf(connect.CodeAlreadyExists, err, &messages.ErrorDetail{
			Reason: messages.ErrorDetail_REASON_KEY_CONFLICT, RunId: conflict.Run.String(),
		})
	case errors.As(err, &unique):
		return refusalOf(connect.CodeAlreadyExists, err, &messages.ErrorDetail{
			Reason: messages.ErrorDetail_REASON_NOT_UNIQUE, RunId: unique.Run.String(),
		})
	case errors.As(err, &unknown):
		return refusalOf(connect.CodeInvalidArgument, err, &messages.ErrorDetail{
			Reason: messages.ErrorDetail_REASON_UNKNOWN_MESSAGE, Field: "type", Known: unknown.Known,
		})
	}
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel.err) {
			refusal := refusalOf(sentinel.code, err, &messages.ErrorDetail{Reason: sentinel.reason})
			if sentinel.code == connect.CodeResourceExhausted {
				refusal.Meta().Set("Retry-After", "1")
			}
			return refusal
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, err)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, err)
	default:
		return connect.NewError(connect.CodeInternal, err)
	}
}

// refusalOf returns an error of the API with its detail.
func refusalOf(code connect.Code, err error, detail *messages.ErrorDetail) *connect.Error {
	if one, ok := errors.AsType[*workflow.StartError](err); ok {
		detail.Index = new(int32(one.Index))
	}
	refusal := connect.NewError(code, err)
	if encoded, err := connect.NewErrorDetail(detail); err == nil { // it is, for what is UTF-8
		refusal.AddDetail(encoded)
	}
	return refusal
}
