package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// notOwnerError says that an actor lives on another node.
type notOwnerError struct{ boot persistence.BootID }

func (e *notOwnerError) Error() string { return fmt.Sprintf("it lives on the node of boot %s", e.boot) }

// remoteError is an error of another node. Its kind is what callers test for.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }

// reasons are the errors without data that keep their meaning on the way.
var reasons = []struct {
	err    error
	reason messages.ErrorDetail_Reason
}{
	{workflow.ErrUnknownWorkflow, messages.ErrorDetail_REASON_UNKNOWN_WORKFLOW},
	{workflow.ErrRunNotFound, messages.ErrorDetail_REASON_RUN_NOT_FOUND},
	{workflow.ErrAgentNotFound, messages.ErrorDetail_REASON_AGENT_NOT_FOUND},
	{workflow.ErrActorNotFound, messages.ErrorDetail_REASON_ACTOR_NOT_FOUND},
	{workflow.ErrUnreachable, messages.ErrorDetail_REASON_UNREACHABLE},
	{workflow.ErrNoReply, messages.ErrorDetail_REASON_NO_REPLY},
	{workflow.ErrStepUnknown, messages.ErrorDetail_REASON_UNKNOWN_STEP},
	{workflow.ErrWrongState, messages.ErrorDetail_REASON_WRONG_STATE},
	{workflow.ErrQueueFull, messages.ErrorDetail_REASON_QUEUE_FULL},
	{workflow.ErrOutcomeUnknown, messages.ErrorDetail_REASON_OUTCOME_UNKNOWN},
	{workflow.ErrDraining, messages.ErrorDetail_REASON_DRAINING},
	{workflow.ErrUnavailable, messages.ErrorDetail_REASON_STORE_UNAVAILABLE},
	{context.DeadlineExceeded, messages.ErrorDetail_REASON_NO_REPLY},
	{context.Canceled, messages.ErrorDetail_REASON_NO_REPLY},
}

// encodeError makes an error ready to travel.
func encodeError(err error) *messages.LetterFailure {
	failure := &messages.LetterFailure{Text: storedText(err.Error()), Detail: &messages.ErrorDetail{}}
	var (
		input    *workflow.InputError
		limit    *workflow.LimitError
		conflict *workflow.KeyConflictError
		unknown  *workflow.UnknownMessageError
	)
	switch detail := failure.GetDetail(); {
	case errors.As(err, &input):
		detail.Reason, detail.Field = messages.ErrorDetail_REASON_INVALID_INPUT, strings.ToValidUTF8(input.Field, "\uFFFD")
	case errors.As(err, &limit):
		detail.Reason, detail.Field = messages.ErrorDetail_REASON_TOO_LARGE, limit.What
		detail.Size, detail.Limit = int64(limit.Size), int64(limit.Limit)
	case errors.As(err, &conflict):
		detail.Reason, detail.RunId = messages.ErrorDetail_REASON_KEY_CONFLICT, conflict.Run.String()
	case errors.As(err, &unknown):
		detail.Reason, detail.Known = messages.ErrorDetail_REASON_UNKNOWN_MESSAGE, unknown.Known
	default:
		for _, known := range reasons {
			if errors.Is(err, known.err) {
				detail.Reason = known.reason
				break
			}
		}
	}
	return failure
}

// decodeError is the error that encodeError was given, as far as callers can
// tell.
func decodeError(letter *messages.Letter, failure *messages.LetterFailure) error {
	err := &remoteError{text: failure.GetText()}
	switch detail := failure.GetDetail(); detail.GetReason() {
	case messages.ErrorDetail_REASON_INVALID_INPUT:
		err.kind = &workflow.InputError{Field: detail.GetField(), Reason: failure.GetText()}
	case messages.ErrorDetail_REASON_TOO_LARGE:
		err.kind = &workflow.LimitError{What: detail.GetField(), Size: int(detail.GetSize()), Limit: int(detail.GetLimit())}
	case messages.ErrorDetail_REASON_KEY_CONFLICT:
		run, _ := workflow.ParseRunID(detail.GetRunId())
		err.kind = &workflow.KeyConflictError{Run: run}
	case messages.ErrorDetail_REASON_UNKNOWN_MESSAGE:
		err.kind = &workflow.UnknownMessageError{PID: letter.GetTarget(), Type: letter.GetType(), Known: detail.GetKnown()}
	default:
		for _, known := range reasons {
			if known.reason == detail.GetReason() {
				err.kind = known.err
				break
			}
		}
	}
	return err
}
