package workflow

import (
	"cmp"
	"encoding/json"
	"time"
)

// State is where a run stands in its life.
type State string

// The states of a run. The last four are terminal: they never change, except
// by an explicit retry.
const (
	Scheduled   State = "scheduled"   // due later
	Available   State = "available"   // due, and waiting for a free slot
	Running     State = "running"     // owned by a node
	Retryable   State = "retryable"   // between two attempts
	Waiting     State = "waiting"     // for something named in Reason
	Completed   State = "completed"   // the result is stored
	Failed      State = "failed"      // attempts spent, or a permanent error
	Cancelled   State = "cancelled"   // by request
	Quarantined State = "quarantined" // its process died three times in the same step
)

// States lists every state in the order of a run's life.
var States = []State{Scheduled, Available, Running, Retryable, Waiting, Completed, Failed, Cancelled, Quarantined}

// Terminal reports whether a run in this state has ended.
func (s State) Terminal() bool {
	return s == Completed || s == Failed || s == Cancelled || s == Quarantined
}

// Run is a run as its row tells: a reading, not a handle.
type Run struct {
	ID         RunID           `json:"id"`
	Workflow   string          `json:"workflow"`
	Version    int             `json:"version"`
	State      State           `json:"state"`
	Queue      string          `json:"queue"`
	Priority   int             `json:"priority"` // 0 is first, 9 last
	Key        string          `json:"key,omitempty"`
	Step       string          `json:"step"`    // the next step, or the one that failed; empty once completed
	Turn       int             `json:"turn"`    // of a Loop step
	Attempt    int             `json:"attempt"` // attempts of that step which failed
	Epoch      int64           `json:"epoch"`   // raised each time the run changes hands
	Crashes    int             `json:"crashes"` // process deaths since the last checkpoint
	Owner      string          `json:"owner,omitempty"`
	Error      string          `json:"error,omitempty"`
	Reason     string          `json:"reason,omitempty"` // what a waiting run waits for, or why a cancelled one was
	Input      json.RawMessage `json:"input,omitempty"`
	Output     json.RawMessage `json:"output,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	DueAt      time.Time       `json:"due_at"`
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
	Deadline   *time.Time      `json:"deadline,omitempty"` // it fails when it has not ended by then
	Tags       []string        `json:"tags,omitempty"`
	LimitKey   string          `json:"limit_key,omitempty"` // by which its queue limits it
	Schedule   string          `json:"schedule,omitempty"`  // that started it
	Slot       *time.Time      `json:"slot,omitempty"`      // of the schedule
	Batch      string          `json:"batch,omitempty"`     // of runs that were started together
}

// Err returns nil for a completed run, a [RunError] for one that ended
// otherwise, and an error that wraps [ErrWrongState] for one that goes on.
func (r Run) Err() error {
	switch {
	case r.State == Completed:
		return nil
	case r.State.Terminal():
		return &RunError{Run: r.ID, State: r.State, Reason: cmp.Or(r.Error, r.Reason)}
	default:
		return &notEndedError{r.ID, r.State}
	}
}

// StepRun is one line of a run's history: a checkpoint, or a failed attempt.
type StepRun struct {
	Seq        int64           `json:"seq"` // from 1
	Step       string          `json:"step"`
	Turn       int             `json:"turn"`
	Attempt    int             `json:"attempt"` // from 1
	Outcome    StepOutcome     `json:"outcome"`
	Epoch      int64           `json:"epoch"`
	Owner      string          `json:"owner"`
	State      json.RawMessage `json:"state,omitempty"` // of the run after the step
	Facts      []Fact          `json:"records,omitempty"`
	Error      string          `json:"error,omitempty"`
	StartedAt  time.Time       `json:"started_at"`
	FinishedAt time.Time       `json:"finished_at"`
}

// StepOutcome says how an attempt ended.
type StepOutcome string

// The outcomes of an attempt.
const (
	StepCompleted StepOutcome = "completed"
	StepFailed    StepOutcome = "failed"
)

// Event is something that happened to a run just now, for those who watch it.
// Events are neither stored nor repeated.
type Event struct {
	Run      RunID
	Kind     EventKind
	Step     string // with its turn: "agent[17]"
	Attempt  int
	Progress json.RawMessage // of StepProgress
	Error    string          // of StepAttemptFailed
	Retry    time.Duration   // of StepAttemptFailed and StepSnoozed: until the next attempt; 0 when there is none
	Elapsed  time.Duration   // of StepFinished and StepAttemptFailed
	Ended    *Run            // of RunEnded
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	StepStarted       EventKind = "step_started"
	StepProgress      EventKind = "step_progress"
	StepFinished      EventKind = "step_finished"
	StepAttemptFailed EventKind = "step_failed"
	StepSnoozed       EventKind = "step_snoozed"
	RunEnded          EventKind = "run_ended"
)
