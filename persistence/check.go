package persistence

import (
	"fmt"

	"singularity/workflow"
)

// MaxPriority is the last priority; 0 is the first.
const MaxPriority = 9

// Check refuses with ErrBadWrite what no store takes, whatever it holds.
func Check(write Write) error {
	switch w := write.(type) {
	case Insert:
		if w.Priority < 0 || w.Priority > MaxPriority {
			return fmt.Errorf("%w: priority %d is not one of 0 to %d", ErrBadWrite, w.Priority, MaxPriority)
		}
		return nil
	case Advance:
		return checkAdvance(w)
	case Claim:
		if w.ID == "" {
			return fmt.Errorf("%w: a claim needs an id", ErrBadWrite)
		}
		return nil
	case Reactivate, Cancel, Retry, Post, Acknowledge:
		return nil
	default:
		return fmt.Errorf("%w: unknown kind of write %T", ErrBadWrite, write)
	}
}

// CheckBatch checks all writes of a batch, and that they can share it. Stores
// call it before they begin.
func CheckBatch(batch []Write) error {
	for _, write := range batch {
		if err := Check(write); err != nil {
			return fmt.Errorf("%T of run %s: %w", write, write.Subject(), err)
		}
		if claim, ok := write.(Claim); ok && claim.Limited && len(batch) > 1 {
			return fmt.Errorf("%w: a limited claim needs a batch to itself", ErrBadWrite)
		}
	}
	return nil
}

func checkAdvance(w Advance) error {
	switch w.State {
	case workflow.Running:
		if w.Entry == nil {
			return fmt.Errorf("%w: an owner cannot go on without an entry", ErrBadWrite)
		}
	case workflow.Completed, workflow.Failed, workflow.Cancelled, workflow.Available, workflow.Retryable, workflow.Waiting:
	default:
		return fmt.Errorf("%w: an owner cannot make its run %q", ErrBadWrite, w.State)
	}
	if w.Entry != nil && w.Entry.Outcome != workflow.StepCompleted && w.Entry.Outcome != workflow.StepFailed {
		return fmt.Errorf("%w: %q is not the outcome of an attempt", ErrBadWrite, w.Entry.Outcome)
	}
	return nil
}
