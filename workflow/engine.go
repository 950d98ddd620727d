package workflow

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Engine runs workflows. *singularity.Engine is one.
type Engine interface {
	// StartRun starts a run, or attaches to the one that has its key.
	StartRun(ctx context.Context, req StartRequest) (Pending, error)
	// PendingRun is a handle on a run that was started earlier.
	PendingRun(ctx context.Context, id RunID) (Pending, error)
}

// Pending is a started run that may not have ended yet.
type Pending interface {
	ID() RunID
	// Attached reports that the run was there before: the start found it by its
	// key or by its id.
	Attached() bool
	// Wait returns the run once it has ended, however it ended. Giving up by
	// ctx leaves the run going.
	Wait(ctx context.Context) (Run, error)
}

// StartRequest asks for a run of a registered workflow.
type StartRequest struct {
	Workflow string
	Input    json.RawMessage
	Options
}

// Options are the choices of a start that have defaults.
type Options struct {
	// ID is the run's id. Repeating a start with the same ID and input finds
	// the run that the first one made. Defaults to a fresh one.
	ID RunID
	// Key makes the run unique in its workflow, see the package doc. Defaults
	// to what the workflow's Key function returns.
	Key string
	// Queue is where the run waits for a slot. Defaults to "default".
	Queue string
	// Priority is 0 (first) to 9 (last). A step of 1 weighs as much as 60s of
	// waiting. Defaults to 0.
	Priority int
	// Due is when the run may start. Defaults to Delay from now.
	Due time.Time
	// Delay puts the start off from now, on the clock of the database. It cannot be
	// given together with Due.
	Delay time.Duration
	// Deadline is how long after it is due the run may end, at the latest; it fails
	// then, also while it waits for a slot or its queue is paused. Defaults to never.
	Deadline time.Duration
	// Tags are words to find the run by.
	Tags []string
	// Unique makes the start give way to a run that has the same workflow, queue,
	// key or input, in place of what Key alone does. Defaults to not unique.
	Unique Unique
}

// Start starts a run of w with input and returns a handle on it. It returns
// once the run is stored; for Ephemeral workflows, once it is accepted.
//
// An input that accept refuses is an [InputError]. A key in use by a run with
// other input is a [KeyConflictError]; with the same input the handle is on
// that run. After [ErrOutcomeUnknown] the run may or may not be there: a caller
// who must know chooses the id by [Workflow.StartWith], and repeats the call
// with the same one.
func (w *Workflow[In, Out]) Start(ctx context.Context, engine Engine, input In) (*Handle[Out], error) {
	return w.StartWith(ctx, engine, input, Options{})
}

// StartWith is [Workflow.Start] with options.
func (w *Workflow[In, Out]) StartWith(ctx context.Context, engine Engine, input In, options Options) (*Handle[Out], error) {
	document, err := json.Marshal(&input) // by pointer: JSON sees the methods of pointers, too
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", w.name, &InputError{Reason: "cannot be encoded: " + err.Error()})
	}
	pending, err := engine.StartRun(ctx, StartRequest{Workflow: w.name, Input: document, Options: options})
	if err != nil {
		return nil, err
	}
	return &Handle[Out]{w.name, pending}, nil
}

// Handle returns a handle on a run of w that was started earlier.
func (w *Workflow[In, Out]) Handle(ctx context.Context, engine Engine, id RunID) (*Handle[Out], error) {
	pending, err := engine.PendingRun(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Handle[Out]{w.name, pending}, nil
}

// Handle is a started run whose output is an Out. It holds nothing that needs
// closing.
type Handle[Out any] struct {
	workflow string
	pending  Pending
}

// ID is the run's id.
func (h *Handle[Out]) ID() RunID { return h.pending.ID() }

// Attached reports that the run was there before this start.
func (h *Handle[Out]) Attached() bool { return h.pending.Attached() }

// Wait returns the run's output once it has completed. A run that failed, was
// cancelled or quarantined gives a [RunError]. Giving up by ctx leaves the run
// going.
func (h *Handle[Out]) Wait(ctx context.Context) (Out, error) {
	var output Out
	run, err := h.pending.Wait(ctx)
	switch {
	case err != nil:
		return output, err
	case run.Workflow != h.workflow:
		return output, fmt.Errorf("wait for run %s: it is a run of workflow %s, not of %s", run.ID, run.Workflow, h.workflow)
	case run.Err() != nil:
		return output, run.Err()
	}
	if err := json.Unmarshal(run.Output, &output); err != nil {
		return output, fmt.Errorf("decode output of run %s: %w", run.ID, err)
	}
	return output, nil
}
