package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrIntensity is why a supervisor fails and a pool drops a child: more restarts
// were needed than MaxRestarts within Window.
var ErrIntensity = errors.New("restarted too often")

// errAbandoned is the failure of a child that was left behind.
var errAbandoned = errors.New("did not stop in time")

// A PanicError is the failure of an actor that panicked.
type PanicError struct {
	// Value is what the actor panicked with.
	Value any
	// Message is the Go type of the message in hand.
	Message string
	// Stack is the stack of the goroutine at the panic.
	Stack []byte
}

// Error returns the value and the type of the message, without the stack.
func (p *PanicError) Error() string {
	return fmt.Sprintf("panic on %s: %v", p.Message, p.Value)
}

// Unwrap returns the value that the actor panicked with, if that is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// escalation is what a supervisor panics with when it gives up. It has no stack
// worth reporting.
type escalation struct{ error }

// exhausted returns the error for a child that needed one restart too many. last
// is nil if the child never failed but kept ending.
func exhausted(child string, limit int, window time.Duration, last error) error {
	if last == nil {
		return fmt.Errorf("child %q: %w (limit %d in %s)", child, ErrIntensity, max(limit, 0), window)
	}
	return fmt.Errorf("child %q: %w (limit %d in %s): %w", child, ErrIntensity, max(limit, 0), window, last)
}

// asError returns the error of a failure that protoactor reports.
func asError(reason any) error {
	switch reason := reason.(type) {
	case escalation:
		return reason.error
	case error:
		return reason
	default:
		return fmt.Errorf("panic: %v", reason)
	}
}

// logFailure logs why a child failed. A supervisor that gave up has no stack: its
// children have logged theirs.
func logFailure(log *slog.Logger, child string, reason any) {
	if p, ok := reason.(*PanicError); ok {
		log.Error("child has failed", "child", child, "error", p, "stack", string(p.Stack))
		return
	}
	log.Error("child has failed", "child", child, "error", reason)
}

// warnOfAlias says so if a child does not run under its own id.
func warnOfAlias(log *slog.Logger, child, id, actual string) {
	if id != actual {
		log.Warn("child runs under another id, its own is taken", "child", child, "id", id, "instead", actual)
	}
}
