package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"singularity/workflow"
)

// fakeEngine answers starts with errs, one each, then with run.
type fakeEngine struct {
	errs     []error
	run      fakeRun
	requests []workflow.StartRequest
	asked    []workflow.RunID
}

func (e *fakeEngine) StartRun(_ context.Context, request workflow.StartRequest) (workflow.Pending, error) {
	e.requests = append(e.requests, request)
	if len(e.errs) > 0 {
		err := e.errs[0]
		e.errs = e.errs[1:]
		return nil, err
	}
	return e.run, nil
}

func (e *fakeEngine) PendingRun(_ context.Context, id workflow.RunID) (workflow.Pending, error) {
	e.asked = append(e.asked, id)
	if id != e.run.ID() {
		return nil, fmt.Errorf("run %s: %w", id, workflow.ErrRunNotFound)
	}
	return e.run, nil
}

// fakeRun has ended as row says, or waits for ctx when it has no state.
type fakeRun struct {
	row      workflow.Run
	attached bool
}

func (r fakeRun) ID() workflow.RunID { return r.row.ID }
func (r fakeRun) Attached() bool     { return r.attached }

func (r fakeRun) Wait(ctx context.Context) (workflow.Run, error) {
	if r.row.State == "" {
		<-ctx.Done()
		return workflow.Run{}, context.Cause(ctx)
	}
	return r.row, nil
}

func completed(output string) fakeRun {
	return fakeRun{row: workflow.Run{ID: workflow.NewRunID(), Workflow: "total", State: workflow.Completed, Output: json.RawMessage(output)}}
}

var total = workflow.Define("total",
	func(in []float64) ([]float64, error) { return in, nil },
	func(s *[]float64) line { return line{Count: uint8(len(*s))} },
	workflow.Do("add", nothing[[]float64]))

func TestStartSendsNameInputAndOptions(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{run: completed(`{}`)}
	engine.run.attached = true
	options := workflow.Options{ID: workflow.NewRunID(), Key: "k", Queue: "q", Priority: 3, Due: time.Unix(1, 0), Delay: 2, Deadline: 3, Tags: []string{"t"}}
	for _, want := range []workflow.StartRequest{
		{Workflow: "total", Input: json.RawMessage(`[1,2.5]`), Options: options},
		{Workflow: "total", Input: json.RawMessage(`[1,2.5]`)},
	} {
		engine.requests = nil
		run, err := total.StartWith(t.Context(), engine, []float64{1, 2.5}, want.Options)
		if err != nil || run.ID() != engine.run.ID() || !run.Attached() {
			t.Fatalf("StartWith gives %+v, %v; want the engine's run", run, err)
		}
		if !reflect.DeepEqual(engine.requests, []workflow.StartRequest{want}) {
			t.Errorf("the engine was asked for %+v, want %+v", engine.requests, want)
		}
	}
	engine.requests = nil
	if _, err := total.Start(t.Context(), engine, nil); err != nil || !reflect.DeepEqual(engine.requests[0].Options, workflow.Options{}) {
		t.Errorf("Start asks for %+v, %v; want no options", engine.requests, err)
	}
}

func TestStartUsesTheFormatsOfPointers(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{}
	if _, err := workflow.New("mask", workflow.Do("hide", nothing[masked])).Start(t.Context(), engine, masked{"4711"}); err != nil {
		t.Fatal(err)
	}
	if got := string(engine.requests[0].Input); got != `"#4711"` {
		t.Errorf("the input is sent as %s", got)
	}
}

func TestStartRefusesAnInputWithoutJSON(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{}
	run, err := total.Start(t.Context(), engine, []float64{math.NaN()})
	if invalid := (*workflow.InputError)(nil); !errors.As(err, &invalid) || run != nil || len(engine.requests) > 0 {
		t.Errorf("Start gives %v, %v after %d requests; want an InputError and no request", run, err, len(engine.requests))
	}
}

func TestStartReturnsTheEnginesError(t *testing.T) {
	t.Parallel()
	conflict := &workflow.KeyConflictError{Workflow: "total", Key: "k", Run: workflow.NewRunID()}
	engine := &fakeEngine{errs: []error{fmt.Errorf("start total: %w", conflict)}}
	run, err := total.Start(t.Context(), engine, nil)
	if got := (*workflow.KeyConflictError)(nil); !errors.As(err, &got) || got != conflict || run != nil {
		t.Errorf("Start gives %v, %v; want the conflict", run, err)
	}
}

func TestStartIsRepeatedWithTheSameIDAfterAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{errs: []error{fmt.Errorf("start: %w", workflow.ErrOutcomeUnknown)}, run: completed(`{"count":1}`)}
	engine.run.attached = true // the lost answer was a yes
	options := workflow.Options{ID: engine.run.ID()}

	run, err := total.StartWith(t.Context(), engine, []float64{1}, options)
	if !errors.Is(err, workflow.ErrOutcomeUnknown) {
		t.Fatalf("first start: %v, %v", run, err)
	}
	run, err = total.StartWith(t.Context(), engine, []float64{1}, options)
	if err != nil || run.ID() != options.ID || !run.Attached() {
		t.Fatalf("second start gives %+v, %v; want the run of the first", run, err)
	}
	if !reflect.DeepEqual(engine.requests[0], engine.requests[1]) {
		t.Errorf("the two starts differ:\n%+v\n%+v", engine.requests[0], engine.requests[1])
	}
}

func TestWaitReturnsTheTypedOutput(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{run: completed(`{"price":2.5,"count":3,"added_later":true}`)}
	run, err := total.Start(t.Context(), engine, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run.Wait(t.Context()); err != nil || out != (line{Price: 2.5, Count: 3}) {
		t.Errorf("Wait gives %+v, %v", out, err)
	}
}

func TestHandleFindsAnEarlierRun(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{run: completed(`{"count":3}`)}
	run, err := total.Handle(t.Context(), engine, engine.run.ID())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run.Wait(t.Context()); err != nil || out.Count != 3 || run.ID() != engine.run.ID() {
		t.Errorf("Wait of run %s gives %+v, %v", run.ID(), out, err)
	}
	if run, err := total.Handle(t.Context(), engine, workflow.NewRunID()); !errors.Is(err, workflow.ErrRunNotFound) || run != nil {
		t.Errorf("Handle of an unknown run gives %v, %v", run, err)
	}
}

func TestWaitRefusesTheRunOfAnotherWorkflow(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{run: completed(`{"count":3}`)}
	engine.run.row.Workflow = "other"
	run, err := total.Handle(t.Context(), engine, engine.run.ID())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := run.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "workflow other") || out != (line{}) {
		t.Errorf("Wait gives %+v, %v; want the other workflow named", out, err)
	}
}

func TestWaitForARunThatDidNotComplete(t *testing.T) {
	t.Parallel()
	for _, state := range workflow.States {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			row := workflow.Run{ID: workflow.NewRunID(), Workflow: "total", State: state, Error: "no answer", Output: json.RawMessage(`{"count":3}`)}
			run, err := total.Start(t.Context(), &fakeEngine{run: fakeRun{row: row}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			out, err := run.Wait(t.Context())
			failure := (*workflow.RunError)(nil)
			switch {
			case state == workflow.Completed:
				if err != nil || out.Count != 3 {
					t.Errorf("Wait gives %+v, %v", out, err)
				}
			case out != (line{}):
				t.Errorf("Wait gives the output %+v", out)
			case state.Terminal():
				if !errors.As(err, &failure) || *failure != (workflow.RunError{Run: row.ID, State: state, Reason: "no answer"}) {
					t.Errorf("error is %v, want the RunError of the run", err)
				}
			case !errors.Is(err, workflow.ErrWrongState) || errors.As(err, &failure):
				t.Errorf("error is %v, want ErrWrongState", err)
			}
		})
	}
}

func TestWaitIsGivenUpByContext(t *testing.T) {
	t.Parallel()
	run, err := total.Start(t.Context(), &fakeEngine{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := run.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
}

func TestWaitNamesTheRunOfAnOutputOfAnotherType(t *testing.T) {
	t.Parallel()
	engine := &fakeEngine{run: completed(`{"count":"three"}`)}
	run, err := total.Start(t.Context(), engine, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), engine.run.ID().String()) {
		t.Errorf("error is %v, want it to name run %s", err, engine.run.ID())
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	id, err := workflow.ParseRunID("0195a3f2-7c1d-7e5a-9b3c-0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		err  error
		want string
	}{
		{workflow.Invalid("cents", "must be positive"), `invalid input: field "cents" must be positive`},
		{workflow.Invalid("", "the document is empty"), `invalid input: the document is empty`},
		{&workflow.LimitError{What: "input", Size: 3, Limit: 2}, `input is 3 bytes, the limit is 2; store large data elsewhere and keep a reference to it`},
		{
			&workflow.KeyConflictError{Workflow: "w", Key: "k", Run: id},
			`key "k" of workflow w belongs to run ` + id.String() + `; use another key, or start with the same input to attach to that run`,
		},
		{&workflow.KeyConflictError{Workflow: "w", Run: id}, `run ` + id.String() + ` exists already with another workflow or input`},
		{&workflow.StepError{Run: id, Step: "agent[3]", Attempt: 2, Err: errBusy}, `step agent[3], attempt 2: busy`},
		{&workflow.TimeoutError{Timeout: time.Second}, `timed out after 1s`},
		{&workflow.TimeoutError{Timeout: time.Second, Ignored: true}, `timed out after 1s and ignored its cancelled context`},
		{&workflow.RunError{Run: id, State: workflow.Cancelled}, `run ` + id.String() + ` cancelled`},
		{&workflow.RunError{Run: id, State: workflow.Failed, Reason: "busy"}, `run ` + id.String() + ` failed: busy`},
		{workflow.Run{ID: id, State: workflow.Waiting}.Err(), `run ` + id.String() + ` is still waiting`},
		{&workflow.PanicError{Value: "boom", Stack: "goroutine 1"}, "panic: boom\ngoroutine 1"},
		{&workflow.UnknownMessageError{PID: "node/1", Type: "x", Known: []string{"a", "b"}}, `node/1 does not take messages of type "x"; it takes a, b`},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%T reads\n%s, want\n%s", test.err, got, test.want)
		}
	}
	if !errors.Is(&workflow.StepError{Err: errBusy}, errBusy) {
		t.Error("a StepError hides its cause")
	}
}
