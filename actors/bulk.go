package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// StartRuns implements [workflow.BulkEngine]. The runs are stored without an
// owner, beside the journal, and the dispatcher claims them like any that wait.
func (n *Node) StartRuns(ctx context.Context, reqs []workflow.StartRequest) ([]workflow.Pending, error) {
	if len(reqs) == 0 {
		return nil, nil
	}
	return n.startRuns(reqs, func(inserts []persistence.Insert) ([]persistence.Inserted, error) {
		return n.store.InsertAll(ctx, inserts)
	})
}

// StartBatch implements [workflow.BulkEngine].
func (n *Node) StartBatch(ctx context.Context, batch workflow.Batch, reqs []workflow.StartRequest) ([]workflow.Pending, error) {
	if err := n.checkBatch(batch); err != nil {
		return nil, fmt.Errorf("start batch: %w", err)
	}
	defer n.tellBatches(batchStirred{batch.ID}) // whether or not its answer was lost
	return n.startRuns(reqs, func(inserts []persistence.Insert) ([]persistence.Inserted, error) {
		return n.store.InsertBatch(ctx, persistence.BatchPage{Batch: batch, CallbackID: workflow.NewRunID()}, inserts)
	})
}

// Batch reads how a batch stands.
func (n *Node) Batch(ctx context.Context, id string) (workflow.BatchStatus, error) {
	return n.store.Batch(ctx, id)
}

// CloseBatch says that no more runs come to a batch, and reports whether it was
// open before.
func (n *Node) CloseBatch(ctx context.Context, id string) (workflow.BatchStatus, bool, error) {
	changed, err := n.store.CloseBatch(ctx, id)
	if err != nil {
		return workflow.BatchStatus{}, false, err
	}
	n.tellBatches(batchStirred{id})
	status, err := n.store.Batch(ctx, id)
	return status, changed, err
}

// checkBatch refuses a batch that could not end: its workflow has to take what a
// batch ends with.
func (n *Node) checkBatch(batch workflow.Batch) error {
	if !workflow.ValidName(batch.ID) {
		return workflow.Invalidf("batch", "is %q; expected 1 to %d letters, digits and any of _-. after the first", batch.ID, workflow.MaxName)
	}
	if batch.OnEnd == "" {
		return nil
	}
	sample, err := json.Marshal(workflow.BatchEnd{Batch: batch.ID, Total: 1, Completed: 1})
	if err != nil {
		return err
	}
	if _, err := n.acceptStored(workflow.StartRequest{Workflow: batch.OnEnd, Input: sample}); err != nil {
		return fmt.Errorf("%w: %w", workflow.Invalidf("on_end", "is %q, which does not take how a batch ends, such as %s", batch.OnEnd, sample), err)
	}
	return nil
}

func (n *Node) startRuns(
	reqs []workflow.StartRequest, insert func([]persistence.Insert) ([]persistence.Inserted, error),
) ([]workflow.Pending, error) {
	inserts, err := n.acceptAll(reqs)
	if err != nil {
		return nil, err
	}
	list, err := insert(inserts)
	if err != nil {
		if errors.Is(err, workflow.ErrOutcomeUnknown) {
			n.tellInserted(inserts, make([]persistence.Inserted, len(inserts)))
		}
		return nil, fmt.Errorf("start %d runs: %w", len(reqs), err)
	}
	n.tellInserted(inserts, list)
	pending := make([]workflow.Pending, len(list))
	for i, inserted := range list {
		pending[i] = &pendingRun{node: n, id: inserted.Run, attached: inserted.Attached}
	}
	return pending, nil
}

// acceptAll checks starts and makes their inserts.
func (n *Node) acceptAll(reqs []workflow.StartRequest) ([]persistence.Insert, error) {
	if len(reqs) > workflow.MaxStarts {
		return nil, workflow.Invalidf("runs", "are %d; expected at most %d at a time", len(reqs), workflow.MaxStarts)
	}
	var (
		inserts = make([]persistence.Insert, len(reqs))
		places  = make(map[workflow.RunID]int, len(reqs))
		first   = workflow.NewRunID()
	)
	for i, req := range reqs {
		if req.ID.IsZero() {
			req.ID = first.Offset(i)
		}
		insert, err := n.acceptStored(req)
		if before, twice := places[req.ID]; err == nil && twice {
			err = workflow.Invalidf("id", "is %s, as that of start %d; expected one of its own", req.ID, before)
		}
		if err != nil {
			return nil, &workflow.StartError{Index: i, Err: err}
		}
		inserts[i], places[req.ID] = insert, i
	}
	return inserts, nil
}

// acceptStored makes the insert of one start that is to wait in the store.
func (n *Node) acceptStored(req workflow.StartRequest) (persistence.Insert, error) {
	m, _, err := n.accept(req)
	switch {
	case err != nil:
		return persistence.Insert{}, err
	case m.launch.program.Durability == workflow.Ephemeral:
		return persistence.Insert{}, workflow.Invalid("workflow", "is ephemeral: many runs are started in the store, where it has none")
	case m.insert.Unique != nil:
		return persistence.Insert{}, workflow.Invalid("unique", "cannot be given for many starts at once: give each a key, or start them one by one")
	case storedText(m.insert.Key) != m.insert.Key:
		return persistence.Insert{}, workflow.Invalid("key", "as the workflow makes it of the input is not text: it holds a zero byte or is not UTF-8")
	}
	return m.insert, nil
}

// tellInserted lets the dispatcher know once of each queue that has new runs,
// and when the first of those is due that are not yet.
func (n *Node) tellInserted(inserts []persistence.Insert, list []persistence.Inserted) {
	later := map[string]time.Duration{}
	due := map[string]bool{}
	for i, inserted := range list {
		queue := inserts[i].Queue
		n.expectDeadline(inserted.Wait, inserts[i].Deadline)
		switch next, known := later[queue]; {
		case inserted.Attached:
		case inserted.Wait <= 0:
			due[queue] = true
		case !known || inserted.Wait < next:
			later[queue] = inserted.Wait
		}
	}
	for queue := range due {
		n.tellDispatcher(released{queue: queue})
	}
	for queue, delay := range later {
		n.tellDispatcher(released{queue: queue, delay: delay})
	}
}
