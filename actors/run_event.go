package actors

import (
	"time"

	"singularity/workflow"
)

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
	// deadlineOver: the run may not go on.
	deadlineOver struct{}
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
	// attemptSnoozed tells watchers; delay is the time until the step is run again.
	attemptSnoozed struct {
		ran   position
		delay time.Duration
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
func (deadlineOver) isEvent() {}
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
func (attemptSnoozed) isEffect()  {}
func (attemptFinished) isEffect() {}
func (abandon) isEffect()         {}
func (leave) isEffect()           {}
