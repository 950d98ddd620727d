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

// What may happen to a run in memory.
type (
	event interface{ isEvent() }

	// began: the run's row is known and owned; err says that what it holds
	// cannot be used.
	began struct{ err error }
	// stepReturned: an attempt's body returned, and what it left was encoded.
	stepReturned struct {
		token  int64
		done   bool // the step, not only the turn
		err    error
		random float64 // for the jitter, in [0, 1)
	}
	// stepExpired: an attempt reached its timeout and its context is cancelled.
	stepExpired struct{ token int64 }
	// graceOver: an interrupted attempt has not returned in time.
	graceOver struct {
		token  int64
		random float64
	}
	// committed: the journal stored what the last commit effect said.
	committed struct{}
	// refused: it did not, and never will.
	refused struct{ err error }
	// backoffOver: the wait before the next attempt is over.
	backoffOver struct{ token int64 }
	// leaseLate: the attempt was not started, since the node's lease may be over.
	leaseLate struct{ token int64 }
	// leaseRenewed: attempts may start again.
	leaseRenewed struct{}
	// cancelled: the run was cancelled in its row.
	cancelled struct{}
	// disowned: the boot that owns the run was declared dead.
	disowned struct{}
	// drained: the node stops, or needs the run's memory; a step under way may
	// finish.
	drained struct{}
	// evicted: the node stops now.
	evicted struct{}
)

// What the shell is to do.
type (
	effect interface{ isEffect() }

	// runStep starts an attempt.
	runStep struct {
		token int64
		position
	}
	// interrupt cancels the context of the attempt under way.
	interrupt struct{ cause error }
	// armGrace sends graceOver in a while.
	armGrace struct{ token int64 }
	// armBackoff sends backoffOver after the delay.
	armBackoff struct {
		token int64
		delay time.Duration
	}
	// commit appends an advance to the journal.
	commit struct {
		state   workflow.State
		entry   entryKind
		next    position
		ran     position // of entry
		delay   time.Duration
		failure error
		reason  string
		bare    bool // leaves out the run's summary
	}
	// keep makes the state that the last attempt left the current one.
	keep struct{}
	// attemptFailed tells watchers; retry is the wait for the next attempt, less
	// than 0 when there is none.
	attemptFailed struct {
		ran   position
		err   error
		retry time.Duration
	}
	// attemptFinished tells watchers.
	attemptFinished struct{ ran position }
	// abandon gives up an attempt that goes on after its grace: its slot is lost.
	abandon struct{}
	// leave ends the activation. State is the run's state now; Running means
	// that this activation does not know it, because it lost the run.
	leave struct {
		state workflow.State
		err   error
	}
)

// entryKind says what a commit adds to the history.
type entryKind string

const (
	noEntry       entryKind = ""
	checkpoint    entryKind = "checkpoint"     // the state that the last attempt left
	savedState    entryKind = "saved state"    // the current state, of a step finished earlier
	failedAttempt entryKind = "failed attempt" // without a state
	failedSaving  entryKind = "failed attempt, saved state"
)

func (began) isEvent()        {}
func (stepReturned) isEvent() {}
func (stepExpired) isEvent()  {}
func (graceOver) isEvent()    {}
func (committed) isEvent()    {}
func (refused) isEvent()      {}
func (backoffOver) isEvent()  {}
func (leaseLate) isEvent()    {}
func (leaseRenewed) isEvent() {}
func (cancelled) isEvent()    {}
func (disowned) isEvent()     {}
func (drained) isEvent()      {}
func (evicted) isEvent()      {}

func (runStep) isEffect()         {}
func (interrupt) isEffect()       {}
func (armGrace) isEffect()        {}
func (armBackoff) isEffect()      {}
func (commit) isEffect()          {}
func (keep) isEffect()            {}
func (attemptFailed) isEffect()   {}
func (attemptFinished) isEffect() {}
func (abandon) isEffect()         {}
func (leave) isEffect()           {}

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

// attempt starts the next attempt, unless the run is to leave memory.
func (s *runState) attempt() []effect {
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
	if err != nil && s.cause != nil && isContextError(err) {
		err = s.cause // rather than "context canceled"
	}
	switch {
	case err == nil:
		return s.advance(e.done)
	case s.phase == handing && errors.Is(err, errEvicted):
		return s.evacuate() // not the attempt's fault: it does not count
	default:
		return s.fail(err, e.random)
	}
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
		s.position = next
		told := attemptFailed{ran, err, -1}
		if s.durability == workflow.Ephemeral {
			return append([]effect{told}, s.end(workflow.Failed, err)...)
		}
		return append([]effect{told}, s.write(commit{
			state: workflow.Failed, entry: s.failedEntry(), next: next, ran: ran, failure: err,
		})...)
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

// failedEntry is what a failed attempt leaves behind when the run leaves
// memory: a restartable run's progress was not stored before.
func (s *runState) failedEntry() entryKind {
	if s.unsaved != nil {
		return failedSaving
	}
	return failedAttempt
}

func (s *runState) backOff(delay time.Duration) []effect {
	if delay <= 0 || s.evicting {
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
		err := &workflow.TimeoutError{Timeout: s.steps[s.position.step].Timeout, Ignored: true}
		s.token++ // its answer is late from here on
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
