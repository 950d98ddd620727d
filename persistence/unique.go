package persistence

import (
	"bytes"
	"time"

	"singularity/workflow"
)

// Unique names the key that a run is to be the only one to hold. A run holds its
// key until it fails, is cancelled or quarantined, or, without Within, until it
// completes; with Within, no longer than for that time from when it was stored,
// on the clock of the store.
type Unique struct {
	Key        [32]byte
	By         workflow.UniqueBy // what the key is made of
	Within     time.Duration
	OnConflict workflow.OnConflict
}

// Yield is the verdict on an insert whose unique key another run holds and keeps.
func (w Insert) Yield(holder *workflow.Run, inputHash []byte) Verdict {
	same := holder.Workflow == w.Workflow
	sameInput := same && bytes.Equal(inputHash, w.InputHash[:])
	switch {
	case w.Unique.By&workflow.ByKey != 0 && !sameInput:
		return Verdict{Err: &workflow.KeyConflictError{Workflow: w.Workflow, Key: w.Key, Run: holder.ID}}
	case w.Unique.OnConflict == workflow.Reject || !same:
		return Verdict{Err: &workflow.UniqueError{Workflow: w.Workflow, Run: holder.ID, By: w.Unique.By, Within: w.Unique.Within}}
	default:
		return Verdict{Existing: holder}
	}
}

// ReplacedBy is the reason of a run that made way for another.
func ReplacedBy(run workflow.RunID) string { return "replaced by run " + run.String() }
