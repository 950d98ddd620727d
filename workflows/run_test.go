package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"singularity/workflow"
)

// finished is what a run leaves behind.
type finished struct {
	Output  string
	States  map[string]string // after each step
	Facts   []workflow.Fact   // of every attempt
	Sent    []workflow.Message
	Summary workflow.Summary
	Waits   []time.Duration // between attempts
}

// run takes an input through the steps of a workflow as an engine does, without
// the waiting: each attempt works on a copy of the last checkpoint, and each
// checkpoint goes through JSON.
func run(ctx context.Context, definition workflow.Definition, input string) (finished, error) {
	program := workflow.Compile(definition)
	end := finished{States: make(map[string]string)}
	admission, err := program.Admit([]byte(input))
	if err != nil {
		return end, err
	}
	state := admission.State
	id := workflow.NewRunID()
	for i, step := range program.Steps {
		for number := 1; ; number++ {
			attempt := &workflow.Attempt{Run: id, Workflow: program.Name, Step: step.Name, Name: step.Name, Number: number}
			next, err := try(ctx, program, i, state, attempt)
			if err = end.note(attempt, err); err == nil {
				state = next
				break
			}
			delay, again := step.Retry.Next(number, err, 0)
			if !again {
				return end, &workflow.StepError{Run: id, Step: step.Name, Attempt: number, Err: err}
			}
			end.Waits = append(end.Waits, delay)
		}
		document, err := program.Encode(state, step.Name)
		if err != nil {
			return end, err
		}
		end.States[step.Name] = string(document)
		if state, err = program.Decode(document); err != nil {
			return end, err
		}
	}
	output, err := program.Output(state)
	end.Output = string(output)
	return end, err
}

func try(ctx context.Context, program *workflow.Program, step int, state any, attempt *workflow.Attempt) (any, error) {
	ctx, cancel := context.WithTimeout(workflow.NewContext(ctx, attempt), program.Steps[step].Timeout)
	defer cancel()
	next, err := program.Copy(state)
	if err != nil {
		return nil, err
	}
	_, err = program.Execute(ctx, step, next)
	return next, err
}

// note keeps what an attempt reported.
func (f *finished) note(attempt *workflow.Attempt, err error) error {
	attempt.End(err)
	report, reportErr := attempt.Report()
	f.Facts = append(f.Facts, report.Facts...)
	if report.Summary != nil {
		f.Summary = f.Summary.Merge(*report.Summary)
	}
	if err == nil {
		f.Sent = append(f.Sent, report.Messages...)
	}
	return errors.Join(err, reportErr)
}

// decode reads a document into a T, strictly.
func decode[T any](t *testing.T, document string) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return value
}

// refusals checks that each input is refused, by the name of its field and
// before anything runs.
func refusals(t *testing.T, definition workflow.Definition, inputs map[string]struct{ input, field, reason string }) {
	t.Helper()
	for name, test := range inputs {
		_, err := workflow.Compile(definition).Admit([]byte(test.input))
		var invalid *workflow.InputError
		if !errors.As(err, &invalid) || invalid.Field != test.field || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v, expected field %q: %s", name, err, test.field, test.reason)
		}
	}
}

func stepNames(definition workflow.Definition) string {
	var names []string
	for _, step := range workflow.Compile(definition).Steps {
		names = append(names, step.Name)
	}
	return strings.Join(names, " ")
}
