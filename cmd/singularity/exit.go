package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"singularity/centralcloud/hub"
	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// The exit codes. Scripts depend on them.
const (
	exitDone        = 0
	exitRefused     = 1 // or the run failed
	exitUsage       = 2
	exitUnknown     = 3 // or nothing answers
	exitInterrupted = 130
)

// usageError is a command line that was not understood.
type usageError struct {
	err     error
	command string // empty when it does not help to read its help
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef returns a usageError that a command found when it was at work.
func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// interruptedError ends a command by Ctrl-C.
type interruptedError struct{ message string }

func (e *interruptedError) Error() string { return e.message }

// report tells a person what went wrong and what to do next, and returns the
// exit code.
func (c *cli) report(err error) int {
	var interrupted *interruptedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &interrupted):
		fmt.Fprintln(c.stderr, interrupted)
		return exitInterrupted
	}
	message, advice := c.explain(err)
	separator := "; "
	if strings.Contains(message, "\n") {
		separator = "\n"
	}
	if advice != "" {
		message += separator + advice
	}
	fmt.Fprintln(c.stderr, "error:", printable(message))
	return exitCode(err)
}

func exitCode(err error) int {
	var (
		usage       *usageError
		unreachable *unreachableError
		call        *connect.Error
	)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &unreachable), errors.Is(err, persistence.ErrTokenNotFound), errors.Is(err, hub.ErrNoPolicy), errors.Is(err, errNoLetter):
		return exitUnknown
	case errors.As(err, &call):
		switch call.Code() {
		case connect.CodeNotFound, connect.CodeUnavailable, connect.CodeDeadlineExceeded:
			return exitUnknown
		case connect.CodeCanceled:
			return exitInterrupted
		}
		if !connect.IsWireError(call) { // what answers is not a node
			return exitUnknown
		}
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitRefused
}

// explain returns an error's message, and what to do next where that is known.
func (c *cli) explain(err error) (message, advice string) {
	var (
		usage *usageError
		ended *workflow.RunError
		call  *connect.Error
	)
	switch {
	case errors.As(err, &usage) && usage.command != "":
		return err.Error(), fmt.Sprintf("see `%s --help`", usage.command)
	case errors.As(err, &ended):
		return err.Error(), fmt.Sprintf("`singularity run steps %s` shows its history, `singularity run retry %[1]s` takes it up again", ended.Run)
	case errors.Is(err, persistence.ErrTokenNotFound):
		return err.Error(), "`singularity token list` lists those there are"
	case !errors.As(err, &call):
		return err.Error(), ""
	case call.Code() == connect.CodeCanceled:
		return "interrupted", ""
	case untrusted(err):
		message, advice = distrust(err)
		return c.address + ": " + message, advice
	case errors.Is(err, http.ErrSchemeMismatch):
		return c.address + " has no TLS", "set --address to one with http://"
	case neverSent(err):
		return "nothing answers at " + c.address, "start one with `singularity dev` or set --address"
	case call.Code() == connect.CodeDeadlineExceeded:
		return "no answer in time: " + call.Message(), "a larger --timeout waits longer"
	case !connect.IsWireError(call) && call.Code() == connect.CodeUnavailable:
		return fmt.Sprintf("the connection to %s broke: %s", c.address, call.Message()), "is the node still running?"
	case !connect.IsWireError(call):
		return fmt.Sprintf("what answers at %s is not a node: %s", c.address, call.Message()), "set --address, to one with https:// if the node has TLS"
	case call.Code() == connect.CodeUnauthenticated:
		return call.Message(), "`singularity token create --scope run`, where the node's database is, makes one for SINGULARITY_TOKEN"
	}
	// The text around the call says what the program was doing.
	message = strings.Replace(err.Error(), call.Error(), call.Message(), 1)
	return message, adviceFor(detailOf(err))
}

func adviceFor(detail *messages.ErrorDetail) string {
	switch detail.GetReason() {
	case messages.ErrorDetail_REASON_UNKNOWN_WORKFLOW:
		return "`singularity workflow list` lists those there are"
	case messages.ErrorDetail_REASON_RUN_NOT_FOUND:
		return "`singularity run list` lists those there are; ended ones are kept for a limited time"
	case messages.ErrorDetail_REASON_BATCH_NOT_FOUND:
		return "it is gone some time after its last run; a batch has the name that --batch of `singularity run start` gave it"
	case messages.ErrorDetail_REASON_AGENT_NOT_FOUND:
		return "`singularity agent list` lists those there are"
	case messages.ErrorDetail_REASON_ACTOR_NOT_FOUND:
		return "`singularity cluster actors` shows those there are, `singularity cluster members` the nodes"
	case messages.ErrorDetail_REASON_UNREACHABLE:
		return "`singularity cluster members` shows which nodes are there"
	case messages.ErrorDetail_REASON_NODES_NOT_READY:
		return "`singularity cluster keys list` says what to do"
	case messages.ErrorDetail_REASON_KEY_CONFLICT, messages.ErrorDetail_REASON_NOT_UNIQUE:
		return fmt.Sprintf("`singularity run get %s` shows it", detail.GetRunId())
	case messages.ErrorDetail_REASON_QUEUE_FULL:
		return "try again in a second"
	case messages.ErrorDetail_REASON_STORE_UNAVAILABLE:
		return "`singularity doctor` looks for the cause"
	case messages.ErrorDetail_REASON_DRAINING:
		return "try again when it is back, or set --address to another"
	case messages.ErrorDetail_REASON_NOTHING_TO_SCORE:
		return "`singularity run steps ID -o json` shows the calls of its steps, with kind model_call"
	case messages.ErrorDetail_REASON_WRONG_STATE, messages.ErrorDetail_REASON_UNKNOWN_STEP:
		return "`singularity run get ID` shows where it stands"
	default:
		return ""
	}
}

// detailOf returns what the server says about an error beside its text, or
// nil.
func detailOf(err error) *messages.ErrorDetail {
	var call *connect.Error
	if !errors.As(err, &call) {
		return nil
	}
	for _, encoded := range call.Details() {
		if value, err := encoded.Value(); err == nil {
			if detail, ok := value.(*messages.ErrorDetail); ok {
				return detail
			}
		}
	}
	return nil
}

// neverSent reports that nothing listened, or nothing that can be trusted, so
// that the call cannot have had an effect.
func neverSent(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial" || untrusted(err)
}

// answerLost reports that a call may have had its effect although it failed.
func answerLost(err error) bool {
	var call *connect.Error
	if !errors.As(err, &call) || neverSent(err) {
		return false
	}
	return detailOf(err).GetReason() == messages.ErrorDetail_REASON_OUTCOME_UNKNOWN ||
		!connect.IsWireError(call) && (call.Code() == connect.CodeUnavailable || call.Code() == connect.CodeUnknown)
}

// away reports an error that passes when the server is back.
func away(err error) bool {
	return !untrusted(err) && (connect.CodeOf(err) == connect.CodeUnavailable || answerLost(err))
}
