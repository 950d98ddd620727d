package workflow

import (
	"context"
	"encoding/json"
	"fmt"
)

// BulkEngine starts many runs at once. *singularity.Engine is one.
type BulkEngine interface {
	// StartRuns starts up to [MaxStarts] runs in one transaction: all of them or,
	// with a [StartError] or any other error, none; only [ErrOutcomeUnknown] leaves
	// that open. Each start attaches as one by StartRun does: to the run that has
	// its id or key, or to an earlier one of the call that has its key. Those
	// without an id of their own get ids that count up, and so begin in their order,
	// other things being equal.
	StartRuns(ctx context.Context, requests []StartRequest) ([]Pending, error)
	// StartBatch is StartRuns for runs of a batch. Runs that a start attaches to do
	// not become the batch's, so a call may be repeated with the same ids. An
	// [InputError] names what is wrong with the batch: batch, or on_end, whose
	// workflow has to be one that takes a [BatchEnd].
	StartBatch(ctx context.Context, batch Batch, requests []StartRequest) ([]Pending, error)
}

// StartMany starts a run of w for each input, all of them in one transaction or
// none, see [BulkEngine]. The handles are in the order of the inputs.
//
// The options are those of every run, but for two. Key has to be empty: it names
// one run, while the workflow's Key function makes one of each input. ID is that
// of the first run, and the others count up from it by [RunID.Offset]: a call
// that is repeated with the same ID and inputs finds the runs that the first one
// made. [StartError] tells by its index which input is refused.
func (w *Workflow[In, Out]) StartMany(ctx context.Context, engine BulkEngine, inputs []In, options Options) ([]*Handle[Out], error) {
	requests, err := w.requests(inputs, options)
	if err != nil {
		return nil, err
	}
	pending, err := engine.StartRuns(ctx, requests)
	return w.handles(pending), err
}

// StartBatch is [Workflow.StartMany] for a page of a batch.
//
//	flow.StartBatch(ctx, engine, workflow.Batch{ID: "import-7", OnEnd: "report", Last: true}, inputs, workflow.Options{})
func (w *Workflow[In, Out]) StartBatch(ctx context.Context, engine BulkEngine, batch Batch, inputs []In, options Options) ([]*Handle[Out], error) {
	requests, err := w.requests(inputs, options)
	if err != nil {
		return nil, err
	}
	pending, err := engine.StartBatch(ctx, batch, requests)
	return w.handles(pending), err
}

// requests asks for a run of each input.
func (w *Workflow[In, Out]) requests(inputs []In, options Options) ([]StartRequest, error) {
	if options.Key != "" {
		return nil, fmt.Errorf("start %s: %w", w.name, Invalid("key", "names one run; give the workflow a Key function, which makes one of each input"))
	}
	if options.ID.IsZero() {
		options.ID = NewRunID()
	}
	requests := make([]StartRequest, len(inputs))
	for i := range inputs {
		document, err := json.Marshal(&inputs[i]) // by pointer: JSON sees the methods of pointers, too
		if err != nil {
			return nil, &StartError{i, &InputError{Reason: "cannot be encoded: " + err.Error()}}
		}
		requests[i] = StartRequest{Workflow: w.name, Input: document, Options: options}
		requests[i].ID = options.ID.Offset(i)
	}
	return requests, nil
}

func (w *Workflow[In, Out]) handles(pending []Pending) []*Handle[Out] {
	handles := make([]*Handle[Out], len(pending))
	for i := range pending {
		handles[i] = &Handle[Out]{w.name, pending[i]}
	}
	return handles
}
