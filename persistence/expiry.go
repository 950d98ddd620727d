package persistence

import (
	"fmt"
	"time"

	"singularity/workflow"
)

// Expiry is what there is to prune, and who is at it.
type Expiry struct {
	Runs []EndedRuns
	Rest bool // messages, boots or takeovers have expired
	Past bool // there are ended runs of RetentionWorkflow
	Days bool // there are days to come for whose checkpoints no place was made
	// Run is one of RetentionWorkflow that has not ended; zero for none.
	Run workflow.RunID
	// Waits is for how long Run has been due without running.
	Waits time.Duration
}

// EndedRuns are the runs of a queue that ended in a state.
type EndedRuns struct {
	State workflow.State
	Queue string
}

// Due reports whether anything has expired or is to be made ready. Ended runs of
// RetentionWorkflow do not count: they go with what has.
func (e *Expiry) Due() bool { return len(e.Runs) > 0 || e.Rest || e.Days }

// Kinds of what a store looks at, beside the states in which runs end.
const (
	DoneMessage    = "message"
	EndedBoot      = "boot"
	OldTakeover    = "takeover"
	EndedRetention = "past"      // a run of RetentionWorkflow
	RetentionAhead = "retention" // one that has not ended
)

// Add judges the oldest of one kind by a policy with defaults. Name is the queue
// of runs that have ended, and the id of a run that prunes.
func (e *Expiry) Add(policy RetentionPolicy, kind, name string, age time.Duration) (err error) {
	switch kind {
	case DoneMessage:
		e.Rest = e.Rest || age > policy.Completed
	case EndedBoot:
		e.Rest = e.Rest || age > policy.Failed
	case OldTakeover:
		e.Rest = e.Rest || age > policy.Takeovers
	case EndedRetention:
		e.Past = true
	case RetentionAhead:
		e.Waits = max(0, age)
		e.Run, err = workflow.ParseRunID(name)
	default:
		state := workflow.State(kind)
		if !state.Terminal() {
			return fmt.Errorf("%q is no state in which runs end", kind)
		}
		if age > policy.Age(state, name) {
			e.Runs = append(e.Runs, EndedRuns{state, name})
		}
	}
	return err
}
