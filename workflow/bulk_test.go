package workflow_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"singularity/workflow"
)

// bulkEngine answers a start of many with as many runs, whose output is their
// input, or with err.
type bulkEngine struct {
	err      error
	requests []workflow.StartRequest
	batch    workflow.Batch // of the last call; zero for none
}

func (e *bulkEngine) StartRuns(ctx context.Context, requests []workflow.StartRequest) ([]workflow.Pending, error) {
	return e.StartBatch(ctx, workflow.Batch{}, requests)
}

func (e *bulkEngine) StartBatch(_ context.Context, batch workflow.Batch, requests []workflow.StartRequest) ([]workflow.Pending, error) {
	e.requests, e.batch = requests, batch
	if e.err != nil {
		return nil, e.err
	}
	pending := make([]workflow.Pending, len(requests))
	for i, request := range requests {
		pending[i] = fakeRun{row: workflow.Run{ID: request.ID, Workflow: request.Workflow, State: workflow.Completed, Output: request.Input}}
	}
	return pending, nil
}

type measure struct {
	Value float64 `json:"value"`
}

var measuring = workflow.New("measuring", workflow.Do("measure", func(context.Context, *measure) error { return nil }))

func TestStartManyAsksForARunOfEachInput(t *testing.T) {
	t.Parallel()
	engine := &bulkEngine{}
	first := workflow.NewRunID()
	runs, err := measuring.StartMany(t.Context(), engine, []measure{{1}, {2}, {3}}, workflow.Options{ID: first, Queue: "lab", Priority: 4})
	if err != nil || len(runs) != 3 {
		t.Fatalf("got %d runs, %v", len(runs), err)
	}
	for i, run := range runs {
		request := engine.requests[i]
		if request.ID != first.Offset(i) || request.Workflow != "measuring" || request.Queue != "lab" || request.Priority != 4 {
			t.Errorf("request %d is %+v", i, request)
		}
		if out, err := run.Wait(t.Context()); err != nil || out.Value != float64(i+1) {
			t.Errorf("run %d gave %v, %v", i, out, err)
		}
	}
	if _, err := measuring.StartMany(t.Context(), engine, []measure{{1}, {2}}, workflow.Options{}); err != nil {
		t.Fatal(err)
	}
	if ids := engine.requests; ids[0].ID.IsZero() || ids[1].ID != ids[0].ID.Offset(1) {
		t.Errorf("got ids %s and %s, want fresh ones that count up", ids[0].ID, ids[1].ID)
	}
}

func TestStartManyRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	engine := &bulkEngine{}
	_, err := measuring.StartMany(t.Context(), engine, []measure{{1}, {math.NaN()}}, workflow.Options{})
	if refusal, _ := errors.AsType[*workflow.StartError](err); refusal == nil || refusal.Index != 1 {
		t.Errorf("an input that is no JSON: %v, want its index", err)
	}
	_, err = measuring.StartMany(t.Context(), engine, []measure{{1}}, workflow.Options{Key: "k"})
	if invalid, _ := errors.AsType[*workflow.InputError](err); invalid == nil || invalid.Field != "key" {
		t.Errorf("a key for many: %v, want it refused", err)
	}
	if engine.requests != nil {
		t.Errorf("the engine was asked for %v", engine.requests)
	}
	engine.err = workflow.ErrDraining
	if _, err := measuring.StartMany(t.Context(), engine, nil, workflow.Options{}); !errors.Is(err, workflow.ErrDraining) {
		t.Errorf("got %v, want the engine's error", err)
	}
}

func TestStartBatchAddsItsRunsToABatch(t *testing.T) {
	t.Parallel()
	engine := &bulkEngine{}
	batch := workflow.Batch{ID: "lab-1", OnEnd: "report", Last: true}
	runs, err := measuring.StartBatch(t.Context(), engine, batch, []measure{{1}, {2}}, workflow.Options{})
	if err != nil || len(runs) != 2 || len(engine.requests) != 2 || engine.batch != batch {
		t.Errorf("got %d runs of %+v (%v), want 2 of %+v", len(runs), engine.batch, err, batch)
	}
	_, err = measuring.StartBatch(t.Context(), engine, batch, []measure{{1}, {math.NaN()}}, workflow.Options{})
	if refusal, _ := errors.AsType[*workflow.StartError](err); refusal == nil || refusal.Index != 1 {
		t.Errorf("got %v, want the second input refused", err)
	}
}

func TestEndOfABatchCountsEachRunOnce(t *testing.T) {
	t.Parallel()
	end := workflow.BatchEnd{Batch: "lab-1"}
	for i, state := range []workflow.State{workflow.Completed, workflow.Failed, workflow.Cancelled, workflow.Quarantined} {
		end.Count(state, i+1)
	}
	if want := (workflow.BatchEnd{Batch: "lab-1", Total: 10, Completed: 1, Failed: 2, Cancelled: 3, Quarantined: 4}); end != want {
		t.Errorf("got %+v, want %+v", end, want)
	}
}
