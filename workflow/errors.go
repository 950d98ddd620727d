package workflow

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors that an engine answers with. Each is wrapped with the operation and
// the id; test for them with errors.Is.
var (
	// ErrUnknownWorkflow: no workflow of that name is registered here.
	ErrUnknownWorkflow = errors.New("unknown workflow")
	// ErrRunNotFound: no run has that id; it may be past its retention.
	ErrRunNotFound = errors.New("run not found")
	// ErrAgentNotFound: no agent of that name was ever registered.
	ErrAgentNotFound = errors.New("agent not found")
	// ErrScheduleNotFound: there is no schedule of that name.
	ErrScheduleNotFound = errors.New("schedule not found")
	// ErrScheduleExists: there is another schedule of that name.
	ErrScheduleExists = errors.New("schedule exists")
	// ErrBatchNotFound: no batch has that id; it may be past its retention.
	ErrBatchNotFound = errors.New("batch not found")
	// ErrActorNotFound: nothing answers to that PID.
	ErrActorNotFound = errors.New("actor not found")
	// ErrUnreachable: the actor lives on a node that cannot be reached from here.
	// The message was not acted on.
	ErrUnreachable = errors.New("node unreachable")
	// ErrNoReply: the actor did not reply in time. It may have acted on the
	// message; one that is repeated with its id is acted on once.
	ErrNoReply = errors.New("no reply in time")
	// ErrStepUnknown: a run's next step is not in its version of the workflow.
	// The run waits until a version that has the step is registered and the
	// run is retried.
	ErrStepUnknown = errors.New("step unknown to this version of the workflow")
	// ErrQueueFull: more ephemeral runs wait than the engine keeps. Try later.
	ErrQueueFull = errors.New("queue full")
	// ErrUnavailable: the store cannot take writes now. Nothing was written.
	ErrUnavailable = errors.New("store unavailable")
	// ErrOutcomeUnknown: the store may or may not have taken the write. Repeat
	// the call with the same run id.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrDraining: the engine is shutting down and takes no new runs.
	ErrDraining = errors.New("engine is draining")
	// ErrOverdue: the run has not ended by its deadline.
	ErrOverdue = errors.New("the run has not ended by its deadline")
	// ErrWrongState: the run's state does not allow the operation.
	ErrWrongState = errors.New("wrong state")
	// ErrNothingToScore: the run has no answer of a model that a score could be of.
	ErrNothingToScore = errors.New("no answer to score")
	// ErrNodesNotReady: something that all nodes are to do at once is refused,
	// since some are not ready for it, or do not answer. None has done it.
	ErrNodesNotReady = errors.New("not every node is ready for it")
)

// InputError is a refused document: a start's input, or an argument.
type InputError struct {
	Field  string // such as "lines.price", without indexes; empty for the document as a whole
	Reason string // what was wrong and what was expected
}

// Invalid returns the error that an accept function gives for a bad field.
func Invalid(field, reason string) error { return &InputError{Field: field, Reason: reason} }

// Invalidf is [Invalid] with a formatted reason.
func Invalidf(field, format string, args ...any) error {
	return Invalid(field, fmt.Sprintf(format, args...))
}

func (e *InputError) Error() string {
	if e.Field == "" {
		return "invalid input: " + e.Reason
	}
	return fmt.Sprintf("invalid input: field %q %s", e.Field, e.Reason)
}

// LimitError is a document larger than the engine stores. Nothing of it is
// written.
type LimitError struct {
	What  string // "input", "key", "state after step X", "output" …
	Size  int    // bytes
	Limit int    // bytes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s is %d bytes, the limit is %d; store large data elsewhere and keep a reference to it", e.What, e.Size, e.Limit)
}

// KeyConflictError is a start whose key, or run id, is taken by another run.
type KeyConflictError struct {
	Workflow string
	Key      string // empty when it was the run id that is taken
	Run      RunID  // the run that has it
}

func (e *KeyConflictError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("run %s exists already with another workflow or input", e.Run)
	}
	return fmt.Sprintf("key %q of workflow %s belongs to run %s; use another key, or start with the same input to attach to that run", e.Key, e.Workflow, e.Run)
}

// StartError is the start for which a call of [BulkEngine.StartRuns] was refused.
// None of its runs was started.
type StartError struct {
	Index int // among those of the call, from 0
	Err   error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("start %d, counted from 0: %v; none of the runs was started", e.Index, e.Err)
}

func (e *StartError) Unwrap() error { return e.Err }

// StepError is the failure of one attempt of one step.
type StepError struct {
	Run     RunID
	Step    string
	Attempt int // from 1
	Err     error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("step %s, attempt %d: %v", e.Step, e.Attempt, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// PanicError is a panic of a step's body, or of another function of a workflow,
// as an error.
type PanicError struct {
	Value any
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// TimeoutError is a step that took longer than its timeout.
type TimeoutError struct {
	Timeout time.Duration
	Ignored bool // the body went on after its context was cancelled
}

func (e *TimeoutError) Error() string {
	if e.Ignored {
		return fmt.Sprintf("timed out after %s and ignored its cancelled context", e.Timeout)
	}
	return fmt.Sprintf("timed out after %s", e.Timeout)
}

// RunError is what waiting for a run returns when it did not complete.
type RunError struct {
	Run    RunID
	State  State
	Reason string // the stored error text
}

func (e *RunError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("run %s %s", e.Run, e.State)
	}
	return fmt.Sprintf("run %s %s: %s", e.Run, e.State, e.Reason)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks err as one that no further attempt would mend: the run
// fails now. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type retryAfterError struct {
	err   error
	delay time.Duration
}

func (e *retryAfterError) Error() string { return e.err.Error() }
func (e *retryAfterError) Unwrap() error { return e.err }

// RetryAfter sets the delay before the next attempt, in place of the step's
// policy; the attempt still counts. RetryAfter(nil, d) is nil.
func RetryAfter(err error, delay time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, max(delay, 0)}
}

type snoozeError struct{ delay time.Duration }

func (e *snoozeError) Error() string { return fmt.Sprintf("snoozed for %s", e.delay) }

// Snooze is returned by a step that is to be run again after a delay, since what
// it looks for is not there yet. That is no failed attempt: it does not count, it
// leaves no line in the history, and what it recorded is not kept. A delay of
// five seconds or more is spent outside of memory, for one of the [MaxSteps]
// commits that a run may have.
func Snooze(delay time.Duration) error { return &snoozeError{max(delay, 0)} }

// Snoozed reports whether err asks to run the step again, and after which delay.
func Snoozed(err error) (delay time.Duration, snoozed bool) {
	snooze := (*snoozeError)(nil)
	if !errors.As(err, &snooze) {
		return 0, false
	}
	return snooze.delay, true
}

type cancelError struct{ err error }

func (e *cancelError) Error() string { return e.err.Error() }
func (e *cancelError) Unwrap() error { return e.err }

// Cancel marks err as the reason for which the step cancels its own run: no
// further attempt is made, and the run ends as cancelled rather than failed.
// Cancel(nil) is nil.
func Cancel(err error) error {
	if err == nil {
		return nil
	}
	return &cancelError{err}
}

// EndsCancelled reports whether err was marked by [Cancel].
func EndsCancelled(err error) bool {
	cancel := (*cancelError)(nil)
	return errors.As(err, &cancel)
}

type notEndedError struct {
	run   RunID
	state State
}

func (e *notEndedError) Error() string { return fmt.Sprintf("run %s is still %s", e.run, e.state) }
func (e *notEndedError) Unwrap() error { return ErrWrongState }

// UnknownMessageError is a message of a type that the actor does not take.
type UnknownMessageError struct {
	PID   string
	Type  string
	Known []string // the types that it does take
}

func (e *UnknownMessageError) Error() string {
	return fmt.Sprintf("%s does not take messages of type %q; it takes %s", e.PID, e.Type, strings.Join(e.Known, ", "))
}
