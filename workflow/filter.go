package workflow

import (
	"slices"
	"time"
)

// Filter selects runs, newest first. Zero fields select all.
type Filter struct {
	Workflow      string
	States        []State // any of them
	Queue         string
	Key           string
	Tags          []string // all of them
	Schedule      string   // that started the run
	Batch         string   // with which the run was started
	Owner         string   // as Run has it
	CreatedAfter  time.Time
	CreatedBefore time.Time
	ErrorContains string // in whatever case its letters A to Z are
	Limit         int    // rows; defaults to 100, at most 1,000
	Before        RunID  // only runs whose ids are before this one: Next of the page before
}

// Page is a part of the runs that a filter selects.
type Page struct {
	Runs []Run
	// Next is where the next page begins; zero when there is none.
	Next RunID
	// LookedThrough is how many runs were looked through, if that is why the page
	// ended before it was full; else zero.
	LookedThrough int
}

// SelectsAll reports whether the filter lets every run pass.
func (f Filter) SelectsAll() bool {
	return f.Workflow == "" && len(f.States) == 0 && f.Queue == "" && f.Key == "" && len(f.Tags) == 0 && f.Schedule == "" && f.Batch == "" &&
		f.Owner == "" && f.CreatedAfter.IsZero() && f.CreatedBefore.IsZero() && f.ErrorContains == ""
}

// ToCancel is the filter of those runs that can be cancelled. One that selects
// all, or states that have ended, is refused.
func (f Filter) ToCancel() (Filter, error) {
	return f.among("cancelled", Scheduled, Available, Running, Retryable, Waiting)
}

// ToRetry is the filter of those runs that can be retried: without States, those
// that failed or are quarantined. One that selects all, or states that cannot be
// retried, is refused.
func (f Filter) ToRetry() (Filter, error) {
	usual := len(f.States) == 0
	f, err := f.among("retried", Failed, Quarantined, Cancelled, Waiting)
	if usual {
		f.States = []State{Failed, Quarantined}
	}
	return f, err
}

func (f Filter) among(what string, possible ...State) (Filter, error) {
	if f.SelectsAll() {
		return f, Invalidf("runs", "selects all there are; say which are to be %s, by their workflow, state, queue or another filter", what)
	}
	for _, state := range f.States {
		if !slices.Contains(possible, state) {
			return f, Invalidf("runs.states", "has %s; runs can be %s that are one of %v", state, what, possible)
		}
	}
	if len(f.States) == 0 {
		f.States = possible
	}
	return f, nil
}

// Changes is what became of a page of runs that were to be changed.
type Changes struct {
	Matched int // runs that the filter selected
	Changed int
	Refused []Refusal // the others
	Next    RunID     // where the next page begins; zero when there is none
}

// Refusal is a run that was not changed, and why.
type Refusal struct {
	Run RunID
	Err error
}
