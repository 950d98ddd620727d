// Package contender is what an engine has to do to be measured, and how it is
// run: in a process of its own, one workflow at a time or many in flight.
//
// The workflow is the same for everybody: three steps in sequence that do
// nothing but count, with a state that is input, result of each step, and
// output. Every step is durable before the next one begins.
package contender

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Steps is how many steps the measured workflow has.
const Steps = 3

// Contender runs the measured workflow on an engine.
type Contender interface {
	// Setup makes the schema in the job's empty database, starts what runs
	// workflows, and describes it.
	Setup(ctx context.Context, job Job) (Description, error)
	// RunOne starts one workflow, waits for its result and checks it. Many
	// goroutines call it at once.
	RunOne(ctx context.Context) error
	// Close stops what Setup started.
	Close(ctx context.Context) error
}

// Job is what a contender is set up for.
type Job struct {
	// DatabaseURL names an empty database with nobody else in it.
	DatabaseURL string
	// StateBytes is the size of the workflow's state as JSON.
	StateBytes int
	// MaxInFlight is the most workflows that will be under way at once.
	MaxInFlight int
}

// Description says what was measured.
type Description struct {
	Version  string `json:"version"`
	Settings string `json:"settings"`
}

// State is the input of a workflow, what each of its steps leaves, and its
// output.
type State struct {
	Step    int    `json:"step"`
	Padding string `json:"padding"`
}

// NewState returns a first state that is so many bytes long as JSON, or as
// short as one can be.
func NewState(bytes int) State {
	empty, err := json.Marshal(State{})
	if err != nil {
		panic(err) // a struct of a number and a string
	}
	return State{Padding: strings.Repeat("x", max(bytes-len(empty), 0))}
}

// Next is the state after one more step.
func (s State) Next() State {
	s.Step++
	return s
}

// Finished refuses a result that the workflow with this input cannot have.
func (s State) Finished(result State) error {
	s.Step += Steps
	if result != s {
		return fmt.Errorf("the result has step %d and %d bytes of padding; expected step %d and %d bytes",
			result.Step, len(result.Padding), s.Step, len(s.Padding))
	}
	return nil
}
