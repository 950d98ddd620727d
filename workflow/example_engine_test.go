package workflow_test

import (
	"cmp"
	"context"
	"fmt"

	"singularity/workflow"
)

// engine is the smallest engine there is, for the examples: it runs workflows
// in memory, each to its end inside StartRun, prints the failed attempts, and
// passes over the waits between them.
type engine struct {
	programs map[string]*workflow.Program
	runs     map[workflow.RunID]*endedRun
	keys     map[string]workflow.RunID
	facts    []workflow.Fact
	summary  *workflow.Summary
}

func newEngine(definitions ...workflow.Definition) *engine {
	e := &engine{
		programs: map[string]*workflow.Program{},
		runs:     map[workflow.RunID]*endedRun{},
		keys:     map[string]workflow.RunID{},
	}
	for _, definition := range definitions {
		program := workflow.Compile(definition)
		e.programs[program.Name] = program
	}
	return e
}

// endedRun is a run that waits for nothing any more.
type endedRun struct {
	workflow.Run
	attached bool
}

func (r endedRun) ID() workflow.RunID                         { return r.Run.ID }
func (r endedRun) Attached() bool                             { return r.attached }
func (r endedRun) Wait(context.Context) (workflow.Run, error) { return r.Run, nil }

func (e *engine) StartRun(ctx context.Context, request workflow.StartRequest) (workflow.Pending, error) {
	program, ok := e.programs[request.Workflow]
	if !ok {
		return nil, fmt.Errorf("start %s: %w", request.Workflow, workflow.ErrUnknownWorkflow)
	}
	admission, err := program.Admit(request.Input)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", request.Workflow, err)
	}
	key := cmp.Or(request.Key, admission.Key)
	if earlier, found := e.runs[cmp.Or(e.keys[key], request.ID)]; found {
		return endedRun{earlier.Run, true}, nil
	}
	run := &endedRun{Run: workflow.Run{ID: request.ID, Workflow: program.Name, Key: key, State: workflow.Completed}}
	if run.Run.ID.IsZero() {
		run.Run.ID = workflow.NewRunID()
	}
	if run.Output, err = e.execute(ctx, program, run.Run.ID, admission.State); err != nil {
		run.State, run.Error = workflow.Failed, err.Error()
	}
	e.runs[run.Run.ID] = run
	if key != "" {
		e.keys[key] = run.Run.ID
	}
	return run, nil
}

func (e *engine) PendingRun(_ context.Context, id workflow.RunID) (workflow.Pending, error) {
	run, ok := e.runs[id]
	if !ok {
		return nil, fmt.Errorf("run %s: %w", id, workflow.ErrRunNotFound)
	}
	return run, nil
}

// execute takes a run through its steps and returns its output.
func (e *engine) execute(ctx context.Context, program *workflow.Program, id workflow.RunID, state any) ([]byte, error) {
	for step := range program.Steps {
		for turn, done := 0, false; !done; turn++ {
			var err error
			if state, done, err = e.try(ctx, program, id, step, turn, state); err != nil {
				return nil, err
			}
		}
	}
	return program.Output(state)
}

// try makes attempts of one turn of a step until one succeeds or none is left.
func (e *engine) try(ctx context.Context, program *workflow.Program, id workflow.RunID, step, turn int, state any) (after any, done bool, err error) {
	info := program.Steps[step]
	for number := 1; ; number++ {
		attempt := &workflow.Attempt{Run: id, Workflow: program.Name, Step: info.Name, Turn: turn, Name: info.TurnName(turn), Number: number}
		working, err := program.Copy(state)
		if err != nil {
			return nil, false, err
		}
		done, err := program.Execute(workflow.NewContext(ctx, attempt), step, working)
		attempt.End(err)
		report, reportErr := attempt.Report()
		e.facts = append(e.facts, report.Facts...)
		if report.Summary != nil {
			merged := e.summary.Merge(*report.Summary)
			e.summary = &merged
		}
		if err == nil {
			err = reportErr
		}
		if err == nil {
			return working, done, nil
		}
		delay, again := info.Retry.Next(number, err, 0)
		if !again {
			return nil, false, &workflow.StepError{Run: id, Step: attempt.Name, Attempt: number, Err: err}
		}
		fmt.Printf("%s: %v; again in %s\n", attempt.Name, err, delay)
	}
}
