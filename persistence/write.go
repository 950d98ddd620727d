package persistence

import (
	"time"

	"singularity/workflow"
)

// Write is one change that a node asks its store to make: an [Insert],
// [Claim], [Advance], [Reactivate], [Cancel], [Retry], [Post] or [Acknowledge].
type Write interface {
	// Subject is the run that the write changes; zero when that is not known
	// beforehand. A batch holds at most one write of each subject.
	Subject() workflow.RunID
}

// Verdict is what became of one write.
type Verdict struct {
	// Err is nil when the write landed. It is ErrFenced, ErrSlotTaken, or an error
	// of package workflow: ErrRunNotFound, ErrWrongState, *KeyConflictError.
	Err error
	// Existing is the run that an Insert found in its place and attached to;
	// nothing was inserted.
	Existing *workflow.Run
	// Owned reports that an Insert as owned did get its owner.
	Owned bool
	// Wait is how long an Insert's run has to wait until it is due, on the clock of
	// the store; not positive for one that is. Of a limited Claim it is how long it
	// takes until another one may find more, though no run ends or comes; zero for
	// never.
	Wait time.Duration
	// Held reports that a limited Claim was not tried, since another one of the same
	// queue is under way, which is over in a few milliseconds.
	Held bool
	// Left reports that the limits would let runs begin that are due and that a
	// limited Claim does not know.
	Left bool
	// Activations are the runs that a Claim or Reactivate took hold of.
	Activations []Activation
	// Changed is the run after a Cancel or Retry, or the one that an Insert
	// replaced, without its documents.
	Changed *workflow.Run
}

// Activation is the right to run a run, and where it stands.
type Activation struct {
	Run     workflow.Run  // with its input, without its output
	Left    time.Duration // until its deadline, on the clock of the store; not positive when that is over
	Seq     int64         // commits of its owners so far
	State   []byte        // the last checkpoint's; nil before the first: begin with the input
	Summary *workflow.Summary
}

// Insert adds a run. When a run with the same id, workflow and input hash is
// there already, or an unfinished or completed one with the same key and input
// hash, the verdict names that one and nothing changes. The same id or key
// with another input is a *workflow.KeyConflictError, the same slot of a
// schedule ErrSlotTaken.
//
// With Unique it is the holder of the unique key that is in the way instead of
// the one with the same key. If the insert is to replace it and it has not begun,
// it is cancelled; what becomes of the insert otherwise, Yield says.
type Insert struct {
	Run       workflow.RunID
	Workflow  string
	Version   int
	Step      string // the first
	Queue     string
	Priority  int
	Key       string // empty for none
	Input     []byte
	InputHash [32]byte
	// Owner makes the run running, owned, in epoch 1, provided that the run is
	// due and the owner's lease is alive; else, and when Owner is empty, it is
	// available, or scheduled when it is due later.
	Owner BootID
	Extras
}

// Extras are what few new runs have. An insert without them is the cheapest.
type Extras struct {
	Due      time.Time     // zero: Delay from when it is stored
	Delay    time.Duration // on the clock of the store
	Deadline time.Duration // from when the run is due; zero for none
	Tags     []string
	LimitKey *string // by which its queue limits it; nil when that was not looked for
	Schedule string  // that made the run, for Slot; empty for none
	Slot     time.Time
	Batch    string // of runs that were started together; empty for none
	Unique   *Unique
}

// Plain reports whether nothing is set.
func (e Extras) Plain() bool {
	return e.Due.IsZero() && e.Delay == 0 && e.Deadline == 0 && len(e.Tags) == 0 && e.LimitKey == nil && e.Schedule == "" && e.Batch == "" &&
		e.Unique == nil
}

// Claim takes due runs for a boot: up to Limit of one queue, by sort key and
// id, of the known definitions. Each gets the next epoch. The verdict is
// ErrFenced when the boot's lease is not alive.
type Claim struct {
	ID    string // names the claim in the rows: repeated, it gives what it took before
	Boot  BootID
	Queue string
	Limit int
	Known []Definition
	// Solo takes runs that have to run alone, because their process died twice
	// since their last checkpoint; otherwise those are left out.
	Solo bool
	// Limited takes no more than the queue's limits let begin, as they are in the
	// store, and nothing while it is paused. Two limited claims of a queue are never
	// under way at once: the second is Held, and waits for nothing. If the settings
	// name a path, keys take turns, across all claims; within a key it goes by sort
	// key and id. Runs that have no key yet, though there is a path, get theirs
	// first. Such a claim has its batch to itself; else it is ErrBadWrite.
	Limited bool
}

// Fence is what a run's owner believes of its row. A write with a fence lands
// if the row says the same and is running, and then raises the sequence by 1.
// A write that landed before is recognised by the raised sequence and lands
// again without effect.
type Fence struct {
	Run   workflow.RunID
	Boot  BootID
	Epoch int64
	Seq   int64
}

// Advance is a commit of a run's owner: a checkpoint, a failed attempt, the
// end of the run, or its release.
type Advance struct {
	Fence
	// State is what the run becomes: Running, Completed, Failed or Cancelled; or,
	// releasing it with the next epoch and without an owner, Available (handed
	// over), Retryable (Delay from now, but by its deadline) or Waiting (for
	// Reason).
	State   workflow.State
	Step    string // that runs next, or was the last; empty once completed
	Turn    int
	Attempt int // failed attempts of that step and turn
	Delay   time.Duration
	Error   string // of the last failed attempt
	Reason  string
	// Entry is the line to add to the history. A mere release has none, nor has
	// an end without an attempt; to go on Running, it takes one.
	Entry *Entry
	// Summary, in the commit that ends the run, fills its row in job_results.
	Summary *workflow.Summary
}

// Entry is one line of a run's history: a checkpoint, or a failed attempt.
type Entry struct {
	Step       string
	Turn       int
	Attempt    int // from 1
	Outcome    workflow.StepOutcome
	State      []byte            // after the step; of a failed attempt nil, or what a run takes along that leaves memory
	Output     []byte            // of the run, with its last step
	Summary    *workflow.Summary // of the run so far
	Error      string
	Facts      []workflow.Fact
	Messages   []workflow.Message
	StartedAt  time.Time
	FinishedAt time.Time
}

// Reactivate gives a run that boot owns and runs the next epoch, so that
// whatever an earlier activation in the same process has under way is fenced.
// The verdict is ErrFenced when boot does not own it any more.
type Reactivate struct {
	Run  workflow.RunID
	Boot BootID
}

// Cancel ends a run that has not ended, whoever owns it, and raises its epoch.
// A run that is cancelled already stays so; one that ended otherwise is
// workflow.ErrWrongState.
type Cancel struct {
	Run    workflow.RunID
	Reason string
}

// Retry makes a failed, cancelled, quarantined or waiting run available again,
// at the step where it stands, with fresh attempts, no deadline and the next
// epoch. A run in any other state is workflow.ErrWrongState; one whose key has
// passed to a newer run is a *workflow.KeyConflictError that names it, and one
// whose unique key has, a *workflow.UniqueError.
type Retry struct {
	Run workflow.RunID
}

// Post puts a message into an agent's inbox without a run. One with the same
// agent and id that is there already makes it land without effect. The verdict
// is workflow.ErrAgentNotFound when no agent of that name is registered.
type Post struct {
	Message workflow.Message
}

// Acknowledge marks an inbox message as done. The verdict is ErrFenced when
// the agent has a newer epoch, or was never registered.
type Acknowledge struct {
	Agent     string
	Epoch     int64
	MessageID string
}

// Subject implements [Write].
func (w Insert) Subject() workflow.RunID { return w.Run }

// Subject implements [Write]: a claim finds its runs itself.
func (w Claim) Subject() workflow.RunID { return workflow.RunID{} }

// Subject implements [Write].
func (w Advance) Subject() workflow.RunID { return w.Run }

// Subject implements [Write].
func (w Reactivate) Subject() workflow.RunID { return w.Run }

// Subject implements [Write].
func (w Cancel) Subject() workflow.RunID { return w.Run }

// Subject implements [Write].
func (w Retry) Subject() workflow.RunID { return w.Run }

// Subject implements [Write]: a message that is posted belongs to no run.
func (w Post) Subject() workflow.RunID { return workflow.RunID{} }

// Subject implements [Write]: an acknowledgement changes no run.
func (w Acknowledge) Subject() workflow.RunID { return workflow.RunID{} }
