package workflow

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Workflow is a named sequence of steps that turns an In into an Out. It is an
// immutable value: its methods return changed copies.
type Workflow[In, Out any] struct {
	name       string
	version    int
	durability Durability
	key        func(In) string
	deadline   time.Duration
	steps      []StepInfo
	own        []bool // for each step: its retry policy is its own
	body       body[In]
}

// Durability says what of a run survives its process.
type Durability string

// The durability levels.
const (
	// Checkpointed: every finished step is committed before the next one
	// starts. A crash repeats at most the step in flight.
	Checkpointed Durability = "checkpointed"
	// Restartable: start and result are committed, steps are not, except when
	// the run leaves memory for a long backoff. A crash repeats the workflow
	// from its start. Two commits, whatever the number of steps.
	Restartable Durability = "restartable"
	// Ephemeral: nothing is stored. The run ends with its process.
	Ephemeral Durability = "ephemeral"
)

// body is a workflow's code with its state type hidden. States are *S.
type body[In any] struct {
	accept func(In) (state any, err error)
	decode func(document []byte) (state any, err error)
	copy   func(state any) (any, error)
	run    func(ctx context.Context, step int, state any) (done bool, err error)
	result func(state any) (out any)
}

// New returns a workflow whose input, state and output are one type.
func New[S any](name string, steps ...Step[S]) *Workflow[S, S] {
	return Define(name,
		func(in S) (S, error) { return in, nil },
		func(s *S) S { return *s },
		steps...)
}

// Define returns a workflow with an input, a state and an output of their own.
//
// accept makes the first state of a run from its input, or refuses the start
// with an error made by [Invalid]. It must depend on the input alone: a run
// that resumes before its first checkpoint passes it again. result makes the
// output after the last step.
//
// Names are storage keys: Define panics when one is empty, too long, not made
// of letters, digits and "_-.", or begins with one of these three, and when two
// steps share one. It panics, too, when there is no step, when accept or result
// is nil, and when JSON cannot carry In, S or Out there and back.
func Define[In, S, Out any](name string, accept func(In) (S, error), result func(*S) Out, steps ...Step[S]) *Workflow[In, Out] {
	mustName("workflow", name)
	if len(steps) == 0 {
		panic(fmt.Sprintf("workflow %s has no steps", name))
	}
	if accept == nil || result == nil {
		panic(fmt.Sprintf("workflow %s has no accept or no result function", name))
	}
	steps = slices.Clone(steps) // the caller may have a slice of its own
	infos, own := make([]StepInfo, len(steps)), make([]bool, len(steps))
	seen := make(map[string]bool, len(steps))
	for i, step := range steps {
		mustName("workflow "+name+": step", step.info.Name)
		if seen[step.info.Name] {
			panic(fmt.Sprintf("workflow %s has two steps named %q; step names are storage keys", name, step.info.Name))
		}
		seen[step.info.Name] = true
		infos[i], own[i] = step.info, step.own
	}
	mustEncode[In](name)
	mustEncode[S](name)
	mustEncode[Out](name)
	copyState := copier[S]()
	return &Workflow[In, Out]{
		name:       name,
		version:    1,
		durability: Checkpointed,
		steps:      infos,
		own:        own,
		body: body[In]{
			accept: func(in In) (any, error) {
				state, err := accept(in)
				return &state, err
			},
			decode: func(document []byte) (any, error) { return decodeState[S](document) },
			copy:   func(state any) (any, error) { return copyState(state.(*S)) },
			run: func(ctx context.Context, step int, state any) (bool, error) {
				return steps[step].body(ctx, state.(*S))
			},
			result: func(state any) any {
				out := result(state.(*S))
				return &out // JSON sees the methods of pointers, too
			},
		},
	}
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// ValidName reports whether name can name a workflow, step, queue or agent.
func ValidName(name string) bool {
	return len(name) <= MaxName && validName.MatchString(name)
}

func mustName(what, name string) {
	if !ValidName(name) {
		panic(fmt.Sprintf("%s name %q: expected 1 to %d letters, digits, _, - or ., beginning with a letter or digit", what, name, MaxName))
	}
}

// Version sets the number of this version of the workflow, from 1. Raise it
// when stored runs could no longer go on with the changed steps, and register
// the older versions beside it until their runs have ended.
func (w *Workflow[In, Out]) Version(number int) *Workflow[In, Out] {
	if number < 1 {
		panic(fmt.Sprintf("workflow %s: version %d is not positive", w.name, number))
	}
	changed := *w
	changed.version = number
	return &changed
}

// Durability sets what of a run survives its process. Defaults to
// [Checkpointed].
func (w *Workflow[In, Out]) Durability(level Durability) *Workflow[In, Out] {
	if level != Checkpointed && level != Restartable && level != Ephemeral {
		panic(fmt.Sprintf("workflow %s: durability %q is none of checkpointed, restartable, ephemeral", w.name, level))
	}
	changed := *w
	changed.durability = level
	return &changed
}

// Key makes runs unique by what the function returns for their input: a start
// whose key is in use attaches to that run. An empty key is none.
func (w *Workflow[In, Out]) Key(of func(In) string) *Workflow[In, Out] {
	changed := *w
	changed.key = of
	return &changed
}

// Retry sets what follows a failed attempt of each step that has no policy of
// its own.
func (w *Workflow[In, Out]) Retry(policy Retry) *Workflow[In, Out] {
	policy.Delays = slices.Clone(policy.Delays)
	changed := *w
	changed.steps = slices.Clone(w.steps)
	for i, own := range w.own {
		if !own {
			changed.steps[i].Retry = policy.withDefaults()
		}
	}
	return &changed
}

// Deadline sets how long after it is due a run may end, at the latest, unless
// its start says otherwise. The step under way then has its context cancelled
// and the run fails; so does one that waits, for a slot or in a paused queue. That
// of an ephemeral run counts from its slot. A run that is retried by hand has no
// deadline. Defaults to never.
func (w *Workflow[In, Out]) Deadline(d time.Duration) *Workflow[In, Out] {
	if d <= 0 {
		panic(fmt.Sprintf("workflow %s: deadline %s is not positive", w.name, d))
	}
	changed := *w
	changed.deadline = d
	return &changed
}
