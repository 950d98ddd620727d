package persistence

import (
	"context"
	"time"

	"singularity/workflow"
)

// Shared is a store that several processes use at once. A boot that joined it
// has a lease, which it renews over a session of its own; the other boots
// judge it by both. Stores that one process has to itself are no Shared: there
// every boot that joined and has not left is alive.
type Shared interface {
	Store
	// Renew extends a boot's lease by the store's lease term, beginning when the
	// database gets to it, and reports how the other boots look. ErrFenced says
	// that the boot has ended: it was declared dead, or has left. A session that
	// broke is made anew, under the next call at the latest.
	Renew(ctx context.Context, boot BootID, status Status) (Renewal, error)
	// Declare ends another boot, if the ground on which it is charged still
	// holds when it comes to it: its database sessions are ended first, so that
	// none of its open transactions stands in the way, then its lease. It
	// reports whether this call ended it, which leaves a Takeover. The runs of the
	// boot are left to Reassign, which counts them there.
	Declare(ctx context.Context, judge BootID, charge Charge) (bool, error)
	// FollowTakeover looks whether runs of a boot that was declared dead go on,
	// notes since when in its Takeover, and reports whether that is known. It
	// costs those who run them nothing; a look that comes when they have gone on
	// for long takes the times from their history, as their owners' clocks had
	// them.
	FollowTakeover(ctx context.Context, boot BootID) (known bool, err error)
	// Ended returns those of the given runs that are in a terminal state.
	Ended(ctx context.Context, runs []workflow.RunID) ([]workflow.RunID, error)
	// Owner returns the boot that runs a run now, and none when nobody does. It is
	// workflow.ErrRunNotFound for a run that is not there.
	Owner(ctx context.Context, run workflow.RunID) (BootID, error)
	// Listen makes the store call the functions of a listener, from a goroutine of
	// its own. It is called before Join.
	Listen(Listener)
}

// Listener is what a node does about the news of others. Its functions return at
// once.
type Listener struct {
	Enqueued      func(queue string) // a caller's transaction has put runs into a queue
	QueuesChanged func()             // an operator has said something of a queue
	// RunCancelled: somebody has cancelled a run that was running.
	RunCancelled func(run workflow.RunID)
	// ScheduleChanged: a schedule was made, changed or deleted.
	ScheduleChanged func(name string)
	// HubAnnounced: the database may have become that of a hub, as somebody has said,
	// or as nobody would have heard, since the session was made anew.
	HubAnnounced func()
}

// Times of leases, as the nodes keep them.
const (
	// LeaseTerm is how long a renewal lasts, on the clock of the database.
	LeaseTerm = 4 * time.Second
	// RenewEvery is how often a node renews its lease.
	RenewEvery = time.Second
)

// NodeState is what a boot says that it does.
type NodeState string

// The states of a living boot.
const (
	NodeAlive    NodeState = "alive"
	NodeDraining NodeState = "draining"
)

// Status is what a boot says of itself with a renewal, and asks.
type Status struct {
	State NodeState
	// Public also brings the boot's row in instance_registry up to date, by Load.
	Public bool
	Load   int // runs in memory
	// Suspected are boots to report on as suspects, whatever they look like. Those
	// that are missing in the answer are not alive.
	Suspected []BootID
}

// Renewal is what a renewal found out.
type Renewal struct {
	// Unbroken is how long the boot's session has lasted on an unchanged
	// database server. A restarted or promoted server, or one that lost a
	// backend, frees the locks of all sessions at once: who has no session from
	// before cannot tell the dead from the living.
	Unbroken time.Duration
	// Suspects are other boots that look dead, are late with their renewal, or
	// were asked for.
	Suspects []Suspect
	// Elsewhere: other boots have runs running, which may need a new owner.
	Elsewhere bool
	// Queues is another number after each change of any queue's settings.
	Queues int64
}

// Suspect is a boot that may be dead.
type Suspect struct {
	Boot     BootID
	Instance string
	Renewals int64         // of its lease so far
	LockFree bool          // no session holds its lock: the process, or its connection, is gone
	Left     time.Duration // until its lease is over; not positive when it is
}

// Ground is why a boot is held to be dead.
type Ground string

// The grounds.
const (
	// Crashed: its session is gone and it has not renewed its lease since. The
	// runs that it had count a crash.
	Crashed Ground = "crashed"
	// Lapsed: its lease is over. It may be paused or cut off, and its runs count
	// no crash.
	Lapsed Ground = "lapsed"
)

// Charge names a boot that is held to be dead, and why.
type Charge struct {
	Boot     BootID
	Ground   Ground
	Renewals int64 // that were seen with Crashed: one more clears the boot

	DetectedBy   string        // for the Takeover
	SuspectedFor time.Duration // so far
}

// Transactor is a store that can run a step in a transaction of its own, so
// that the rows that the step writes and its checkpoint commit together.
type Transactor interface {
	// Begin opens a transaction. The context that it returns carries it to the
	// step's body, in a form that the store's package hands out.
	Begin(ctx context.Context) (context.Context, StepTransaction, error)
}

// StepTransaction is the open transaction of one attempt of a step. Commit or
// Rollback ends it; either may be called from any goroutine, once.
type StepTransaction interface {
	// Commit adds the checkpoint and commits. A verdict of ErrFenced, and any
	// error that does not wrap workflow.ErrOutcomeUnknown, rolls back.
	Commit(ctx context.Context, checkpoint Advance) (Verdict, error)
	Rollback(ctx context.Context) error
}
