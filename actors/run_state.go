package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// runState is one activation of a run as a state machine: events in, effects
// out, no clock and no I/O. The shell in run.go performs the effects and turns
// their answers into events.
//
// A step's answer carries the token that its start was given; whatever comes
// with another token is late and changes nothing.
type runState struct {
	steps      []workflow.StepInfo
	durability workflow.Durability

	phase    phase
	position position  // of the next attempt
	stored   position  // as the row has it: where another activation would go on
	seq      int64     // commits so far
	token    int64     // attempts started in this activation
	cause    error     // why the attempt under way was interrupted
	draining bool      // leave memory at the next chance
	evicting bool      // begin no further attempt, not even of an ephemeral run
	overdue  bool      // begin no further attempt: the run fails
	lost     *leave    // how to end as soon as nothing is under way: the row belongs to nobody here
	pending  commit    // of phase committing
	unsaved  *position // the last finished step of a restartable run, when it is not stored
}

// position is where a run stands in its steps.
type position struct {
	step    int // index; len(steps) after the last
	turn    int
	attempt int // failed attempts
}

type phase string

const (
	idle       phase = "idle"
	loading    phase = "loading"     // the row of a restarted actor is being read
	stepping   phase = "stepping"    // an attempt is under way
	expiring   phase = "expiring"    // it timed out and may still return
	stopping   phase = "stopping"    // the run was cancelled, its attempt may still return
	handing    phase = "handing"     // the node stops, the attempt may still return
	committing phase = "committing"  // waiting for the journal
	backingOff phase = "backing off" // between two attempts, in memory
	withheld   phase = "withheld"    // waiting for the node's lease before the next attempt
	ended      phase = "ended"       // the shell has nothing more to do
)

// longBackoff is the shortest wait that a run does not spend in memory.
const longBackoff = 5 * time.Second

var (
	errCancelled = errors.New("the run was cancelled")
	errEvicted   = errors.New("the node is stopping")
	errDisowned  = fmt.Errorf("%w: this process was declared dead", persistence.ErrFenced)
)

// apply takes in an event and returns what is to be done about it, in order.
func (s *runState) apply(e event) []effect {
	if s.phase == ended {
		return nil
	}
	switch e := e.(type) {
	case began:
		return s.begin(e.err)
	case stepReturned:
		if e.token != s.token {
			return nil
		}
		return s.returned(e)
	case stepExpired:
		if e.token != s.token || s.phase != stepping {
			return nil
		}
		s.phase = expiring
		s.cause = &workflow.TimeoutError{Timeout: s.steps[s.position.step].Timeout}
		return []effect{armGrace{s.token}}
	case graceOver:
		if e.token != s.token {
			return nil
		}
		return s.abandoned(e)
	case committed:
		if s.phase != committing {
			return nil
		}
		return s.landed()
	case refused:
		if s.phase != committing {
			return nil
		}
		return s.refused(e.err)
	case backoffOver:
		if e.token != s.token || s.phase != backingOff {
			return nil
		}
		return s.attempt()
	case leaseLate:
		if e.token == s.token && s.phase == stepping {
			s.phase = withheld
		}
		return nil
	case leaseRenewed:
		if s.phase != withheld {
			return nil
		}
		return s.attempt()
	case deadlineOver:
		return s.expire()
	case cancelled:
		return s.lose(leave{workflow.Cancelled, errCancelled})
	case disowned:
		return s.lose(leave{workflow.Running, errDisowned})
	case drained:
		return s.drain()
	case evicted:
		return s.evict()
	default:
		panic(fmt.Sprintf("run state: unknown event %T", e))
	}
}

func (s *runState) begin(err error) []effect {
	switch {
	case s.phase != idle:
		return nil
	case s.lost != nil:
		return s.end(s.lost.state, s.lost.err)
	case err != nil && s.durability == workflow.Ephemeral:
		return s.end(workflow.Failed, err)
	case err != nil:
		return s.write(commit{state: workflow.Failed, next: s.position, failure: err})
	case s.position.step < 0 || s.position.step >= len(s.steps):
		return s.write(commit{state: workflow.Waiting, next: s.position, reason: workflow.ErrStepUnknown.Error()})
	default:
		return s.attempt()
	}
}

// attempt starts the next attempt, unless the run is to end or to leave memory.
func (s *runState) attempt() []effect {
	switch {
	case s.overdue && s.durability == workflow.Ephemeral:
		return s.end(workflow.Failed, workflow.ErrOverdue)
	case s.overdue:
		return s.write(commit{state: workflow.Failed, next: s.stored, failure: workflow.ErrOverdue})
	}
	if s.evicting || s.draining && s.durability != workflow.Ephemeral {
		return s.evacuate()
	}
	s.phase = stepping
	s.cause = nil
	s.token++
	return []effect{runStep{s.token, s.position}}
}

// release gives the run back to its queue, due after delay.
func (s *runState) release(delay time.Duration) []effect {
	c := commit{state: workflow.Available, next: s.position, delay: delay}
	if delay > 0 {
		c.state = workflow.Retryable
	}
	if s.unsaved != nil {
		c.entry, c.ran = savedState, *s.unsaved
	}
	return s.write(c)
}

func (s *runState) write(c commit) []effect {
	s.phase = committing
	s.pending = c
	return []effect{c}
}

// returned takes in the answer of the attempt under way.
func (s *runState) returned(e stepReturned) []effect {
	switch s.phase {
	case stepping, expiring, handing:
	case stopping:
		return s.end(s.lost.state, s.lost.err)
	default:
		return nil
	}
	err := e.err
	delay, isSnooze := workflow.Snoozed(err)
	if err != nil && s.cause != nil && isContextError(err) {
		err = s.cause // rather than "context canceled"
	}
	switch {
	case err == nil:
		return s.advance(e.done)
	case s.overdue && s.phase != handing:
		return s.give(workflow.Failed, pastDeadline(err))
	case isSnooze:
		return s.snooze(delay)
	case workflow.EndsCancelled(err):
		return s.give(workflow.Cancelled, err)
	case s.phase == handing && errors.Is(err, errEvicted):
		return s.evacuate() // not the attempt's fault: it does not count
	default:
		return s.fail(err, e.random)
	}
}

// pastDeadline is the error of an attempt that the run's deadline has ended, or that
// failed after it.
func pastDeadline(err error) error {
	if errors.Is(err, workflow.ErrOverdue) {
		return err
	}
	return fmt.Errorf("%w: %w", workflow.ErrOverdue, err)
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// advance goes on after a successful attempt.
func (s *runState) advance(done bool) []effect {
	ran := s.position
	next := position{step: ran.step, turn: ran.turn + 1}
	if done {
		next = position{step: ran.step + 1}
	}
	finished := next.step == len(s.steps)
	switch {
	case finished && s.durability == workflow.Ephemeral:
		s.position = next
		return append([]effect{keep{}, attemptFinished{ran}}, s.end(workflow.Completed, nil)...)
	case finished:
		return s.write(commit{state: workflow.Completed, entry: checkpoint, next: next, ran: ran})
	case s.durability == workflow.Checkpointed || s.draining && s.durability == workflow.Restartable:
		c := commit{state: workflow.Running, entry: checkpoint, next: next, ran: ran}
		if s.draining {
			c.state = workflow.Available
		}
		return s.write(c)
	default:
		s.position = next
		if s.durability == workflow.Restartable {
			s.unsaved = &ran
		}
		return append([]effect{keep{}, attemptFinished{ran}}, s.attempt()...)
	}
}

// fail goes on after a failed attempt.
func (s *runState) fail(err error, random float64) []effect {
	ran := s.position
	next := ran
	next.attempt++
	delay, again := s.steps[ran.step].Retry.Next(next.attempt, err, random)
	if !again {
		return s.give(workflow.Failed, err)
	}
	told := attemptFailed{ran, err, delay}
	s.position = next
	inMemory := delay < longBackoff && !s.draining || s.durability == workflow.Ephemeral
	switch {
	case inMemory && s.durability != workflow.Checkpointed:
		return append([]effect{told}, s.backOff(delay)...)
	case inMemory:
		return append([]effect{told}, s.write(commit{
			state: workflow.Running, entry: failedAttempt, next: next, ran: ran, delay: delay, failure: err,
		})...)
	default:
		return append([]effect{told}, s.write(commit{
			state: workflow.Retryable, entry: s.failedEntry(), next: next, ran: ran, delay: delay, failure: err,
		})...)
	}
}

// give ends the run with the failed attempt: there is no other one.
func (s *runState) give(state workflow.State, err error) []effect {
	ran := s.position
	s.position.attempt++
	told := attemptFailed{ran, err, -1}
	if s.durability == workflow.Ephemeral {
		return append([]effect{told}, s.end(state, err)...)
	}
	return append([]effect{told}, s.write(commit{
		state: state, entry: s.failedEntry(), next: s.position, ran: ran, failure: err,
	})...)
}

// snooze runs the step again after a delay: the attempt does not count.
func (s *runState) snooze(delay time.Duration) []effect {
	told := attemptSnoozed{s.position, delay}
	if delay < longBackoff && !s.draining || s.durability == workflow.Ephemeral {
		return append([]effect{told}, s.backOff(delay)...)
	}
	return append([]effect{told}, s.release(delay)...)
}

// failedEntry is what a failed attempt leaves behind when the run leaves
// memory: a restartable run's progress was not stored before.
func (s *runState) failedEntry() entryKind {
	if s.unsaved != nil {
		return failedSaving
	}
	return failedAttempt
}

func (s *runState) backOff(delay time.Duration) []effect {
	if delay <= 0 || s.evicting || s.overdue {
		return s.attempt()
	}
	s.phase = backingOff
	return []effect{armBackoff{s.token, delay}}
}

// landed goes on after a commit.
func (s *runState) landed() []effect {
	c := s.pending
	s.seq++
	s.position, s.stored = c.next, c.next
	var effects []effect
	if c.entry == checkpoint {
		effects = append(effects, keep{}, attemptFinished{c.ran})
	}
	switch {
	case s.lost != nil:
		return append(effects, s.end(s.lost.state, s.lost.err)...)
	case c.state != workflow.Running:
		return append(effects, s.end(c.state, c.failure)...)
	case s.draining:
		return append(effects, s.release(c.delay)...)
	case s.seq >= workflow.MaxSteps:
		err := fmt.Errorf("the run has %d checkpoints and failed attempts, the most that one run may have", workflow.MaxSteps)
		return append(effects, s.write(commit{state: workflow.Failed, next: s.position, failure: err})...)
	case c.entry == failedAttempt:
		return append(effects, s.backOff(c.delay)...)
	default:
		return append(effects, s.attempt()...)
	}
}

// refused goes on after a commit that did not land.
func (s *runState) refused(err error) []effect {
	lastResort := s.pending.bare
	switch {
	case s.lost != nil:
		return s.end(s.lost.state, s.lost.err)
	case lastResort, errors.Is(err, persistence.ErrFenced),
		errors.Is(err, workflow.ErrOutcomeUnknown), errors.Is(err, workflow.ErrUnavailable):
		return s.end(workflow.Running, err)
	case s.pending.state == workflow.Failed && s.pending.entry == noEntry:
		// Only the summary is left that may be what cannot be stored.
		bare := s.pending
		bare.bare = true
		return s.write(bare)
	}
	// What the step left cannot be stored. The run fails without it, where its
	// row stands: a retry must find the state that belongs to the step.
	if s.pending.entry != noEntry {
		err = fmt.Errorf("the outcome of step %s cannot be stored: %w", s.turnName(s.pending.ran), err)
	}
	return s.write(commit{state: workflow.Failed, next: s.stored, failure: err})
}

func (s *runState) turnName(at position) string { return s.steps[at.step].TurnName(at.turn) }

// lose stops a run whose row is not this activation's any more: nothing more
// can be written.
func (s *runState) lose(as leave) []effect {
	if s.durability == workflow.Ephemeral && as.state == workflow.Running {
		return nil // it has no row that could be lost
	}
	if s.lost == nil {
		s.lost = &as
	}
	switch s.phase {
	case stepping, expiring, handing:
		wasStepping := s.phase == stepping
		s.phase = stopping
		s.cause = as.err
		if wasStepping {
			return []effect{interrupt{as.err}, armGrace{s.token}}
		}
		return nil // interrupted already, its grace is running
	case committing, loading, stopping:
		return nil
	default:
		return s.end(s.lost.state, s.lost.err)
	}
}

// expire makes the run fail at the next chance: its deadline is over.
func (s *runState) expire() []effect {
	s.overdue = true
	switch s.phase {
	case stepping:
		s.phase = expiring
		s.cause = workflow.ErrOverdue
		return []effect{interrupt{s.cause}, armGrace{s.token}}
	case backingOff, withheld:
		return s.attempt()
	default:
		return nil
	}
}

// drain makes the run leave memory at the next chance.
func (s *runState) drain() []effect {
	if s.draining {
		return nil
	}
	s.draining = true
	if (s.phase == backingOff || s.phase == withheld) && s.durability != workflow.Ephemeral {
		return s.release(0)
	}
	return nil
}

// evict makes it leave memory now.
func (s *runState) evict() []effect {
	s.draining, s.evicting = true, true
	switch s.phase {
	case stepping:
		s.phase = handing
		s.cause = errEvicted
		return []effect{interrupt{errEvicted}, armGrace{s.token}}
	case expiring:
		s.phase = handing
		s.cause = errEvicted
		return nil
	case idle, backingOff, withheld:
		return s.evacuate()
	default:
		return nil
	}
}

// evacuate ends the activation where the run stands. An ephemeral run has
// nowhere else to be.
func (s *runState) evacuate() []effect {
	if s.durability == workflow.Ephemeral {
		return s.end(workflow.Failed, errEvicted)
	}
	return s.release(0)
}

// abandoned gives up the attempt under way.
func (s *runState) abandoned(e graceOver) []effect {
	switch s.phase {
	case expiring:
		s.token++ // its answer is late from here on
		if s.overdue {
			err := fmt.Errorf("%w, and step %s ignores its cancelled context", workflow.ErrOverdue, s.turnName(s.position))
			return append([]effect{abandon{}}, s.give(workflow.Failed, err)...)
		}
		err := &workflow.TimeoutError{Timeout: s.steps[s.position.step].Timeout, Ignored: true}
		return append([]effect{abandon{}}, s.fail(err, e.random)...)
	case stopping:
		s.token++
		return append([]effect{abandon{}}, s.end(s.lost.state, s.lost.err)...)
	case handing:
		s.token++
		return append([]effect{abandon{}}, s.evacuate()...)
	default:
		return nil
	}
}

func (s *runState) end(state workflow.State, err error) []effect {
	s.phase = ended
	return []effect{leave{state, err}}
}
