package workflow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Definition is a workflow of whatever types, as engines register it. Only
// *Workflow implements it.
type Definition interface{ program() *Program }

// Program is a workflow with its types erased: what an engine runs. It is safe
// for concurrent use; the states that pass through it are not.
type Program struct {
	Name       string
	Version    int
	Durability Durability
	Steps      []StepInfo
	Keyed      bool          // the workflow has a Key function
	Deadline   time.Duration // from when a run is due; zero for none

	input, output reflect.Type

	admit  func(input []byte) (Admission, error)
	decode func(document []byte) (any, error)
	copy   func(state any) (any, error)
	run    func(ctx context.Context, step int, state any) (bool, error)
	result func(state any) any
}

// Compile erases the types of a workflow.
func Compile(definition Definition) *Program { return definition.program() }

// CompileVersions erases the types of all versions of one workflow. They must
// share their name, input and output, and differ in their numbers, of which
// the first is the highest.
func CompileVersions(newest Definition, older ...Definition) ([]*Program, error) {
	first := Compile(newest)
	programs := []*Program{first}
	seen := map[int]bool{first.Version: true}
	for _, definition := range older {
		program := Compile(definition)
		switch {
		case program.Name != first.Name:
			return nil, fmt.Errorf("workflow %s is no version of workflow %s", program.Name, first.Name)
		case seen[program.Version]:
			return nil, fmt.Errorf("workflow %s has two versions %d; set them with Version", first.Name, program.Version)
		case program.Version > first.Version:
			return nil, fmt.Errorf("workflow %s: version %d is newer than version %d, which was given as the newest", first.Name, program.Version, first.Version)
		case program.input != first.input || program.output != first.output:
			return nil, fmt.Errorf("workflow %s: versions %d and %d differ in input or output; that makes another workflow, with another name", first.Name, first.Version, program.Version)
		}
		seen[program.Version] = true
		programs = append(programs, program)
	}
	return programs, nil
}

// StepIndex finds a step by name; -1 when this version does not have it.
func (p *Program) StepIndex(name string) int {
	for i, step := range p.Steps {
		if step.Name == name {
			return i
		}
	}
	return -1
}

// Admission is an accepted input.
type Admission struct {
	Input json.RawMessage // re-encoded: the same for equal inputs
	Hash  [sha256.Size]byte
	Key   string // empty for none
	State any    // the first state
}

func (w *Workflow[In, Out]) program() *Program {
	return &Program{
		Name:       w.name,
		Version:    w.version,
		Durability: w.durability,
		Steps:      slices.Clone(w.steps),
		Keyed:      w.key != nil,
		Deadline:   w.deadline,
		input:      reflect.TypeFor[In](),
		output:     reflect.TypeFor[Out](),
		admit: func(document []byte) (Admission, error) {
			input, err := decodeInput[In](document)
			if err != nil {
				return Admission{}, err
			}
			// Before accept, which may change what the input points to.
			canonical, err := json.Marshal(&input)
			if err != nil {
				return Admission{}, &InputError{Reason: "the document cannot be encoded again: " + err.Error()}
			}
			state, err := w.body.accept(input)
			if err != nil {
				return Admission{}, refused(err)
			}
			admission := Admission{Input: canonical, Hash: sha256.Sum256(canonical), State: state}
			if w.key != nil {
				admission.Key = w.key(input)
			}
			return admission, nil
		},
		decode: w.body.decode,
		copy:   w.body.copy,
		run:    w.body.run,
		result: w.body.result,
	}
}

// refused makes an accept function's own error an InputError, so that callers
// know it for the caller's fault.
func refused(err error) error {
	if invalid := (*InputError)(nil); errors.As(err, &invalid) {
		return err
	}
	return &InputError{Reason: err.Error()}
}

// Admit checks an input document and makes the first state from it. Errors are
// [InputError] and [LimitError], and [PanicError] when the workflow's own code
// panics.
func (p *Program) Admit(input []byte) (admission Admission, err error) {
	defer recoverPanic(&err)
	if len(input) > MaxInput {
		return Admission{}, &LimitError{What: "input", Size: len(input), Limit: MaxInput}
	}
	admission, err = p.admit(input)
	switch {
	case err != nil:
		return Admission{}, err
	case len(admission.Input) > MaxInput: // re-encoding escapes more than the caller may have
		return Admission{}, &LimitError{What: "input", Size: len(admission.Input), Limit: MaxInput}
	case len(admission.Key) > MaxKey:
		return Admission{}, &LimitError{What: "key", Size: len(admission.Key), Limit: MaxKey}
	}
	return admission, nil
}

// Decode reads a state that [Program.Encode] wrote, by this or another
// version. Fields that S does not have are dropped.
func (p *Program) Decode(document []byte) (state any, err error) {
	defer recoverPanic(&err)
	state, err = p.decode(document)
	if err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	return state, nil
}

// Encode writes a state after a step as JSON. Its errors are permanent.
func (p *Program) Encode(state any, after string) (document []byte, err error) {
	defer func() { err = Permanent(err) }()
	defer recoverPanic(&err)
	return encode(state, "state after step "+after, MaxState)
}

// Output makes the run's output from its last state, as JSON. Its errors are
// permanent; a panic of the result function is one of them.
func (p *Program) Output(state any) (output []byte, err error) {
	defer func() { err = Permanent(err) }()
	defer recoverPanic(&err)
	return encode(p.result(state), "output", MaxState)
}

func encode(value any, what string, limit int) ([]byte, error) {
	document, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be encoded as JSON: %w; states and outputs are plain JSON structs", what, err)
	}
	if len(document) > limit {
		return nil, &LimitError{What: what, Size: len(document), Limit: limit}
	}
	return document, nil
}

// Copy returns a copy of state that shares no memory with it: what decoding
// its encoded form would give, without the encoding.
func (p *Program) Copy(state any) (copied any, err error) {
	defer recoverPanic(&err)
	return p.copy(state)
}

// Execute runs one attempt of a step on state, in place, and reports whether
// the step is done; with an error, done means nothing. A panic of the body is a
// [PanicError]; a body that ends its goroutine ends the caller's.
func (p *Program) Execute(ctx context.Context, step int, state any) (done bool, err error) {
	defer recoverPanic(&err)
	return p.run(ctx, step, state)
}

// recoverPanic is deferred around all that runs a user's code, JSON methods
// included: a panic there must cost an attempt, not the process.
func recoverPanic(err *error) {
	if value := recover(); value != nil {
		*err = &PanicError{Value: value, Stack: string(debug.Stack())}
	}
}

// decodeInput is strict where people type: unknown fields, trailing data and
// wrong types are refused, each by the name of its field.
func decodeInput[In any](document []byte) (In, error) {
	var input In
	if len(bytes.TrimSpace(document)) == 0 {
		return input, &InputError{Reason: "the document is empty; expected JSON"}
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&input); err != nil {
		return input, explainJSON(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return input, &InputError{Reason: "there is data after the JSON document"}
	}
	return input, nil
}

// explainJSON turns what encoding/json reports into an InputError that names
// the field.
func explainJSON(err error) error {
	var (
		wrongType *json.UnmarshalTypeError
		syntax    *json.SyntaxError
		refused   *InputError // by an UnmarshalText of ours, which does not know its field
	)
	const unknown = "json: unknown field "
	switch {
	case errors.As(err, &wrongType):
		reason := fmt.Sprintf("must be %s, not %s", jsonNoun(wrongType.Type), wrongType.Value)
		if wrongType.Field == "" {
			reason = "the document " + reason
		}
		return &InputError{Field: wrongType.Field, Reason: reason}
	case errors.As(err, &syntax):
		return &InputError{Reason: fmt.Sprintf("the document is not JSON at byte %d: %v", syntax.Offset, syntax)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &InputError{Reason: "the document is not JSON: it ends too early"}
	case errors.As(err, &refused):
		return &InputError{Reason: refused.Reason}
	case strings.HasPrefix(err.Error(), unknown):
		field := strings.TrimPrefix(err.Error(), unknown)
		if name, err := strconv.Unquote(field); err == nil {
			field = name
		}
		return &InputError{Field: field, Reason: "is not a field of this input"}
	default:
		return &InputError{Reason: "the document cannot be read: " + err.Error()}
	}
}

// jsonNoun says in words of JSON what a Go type expects.
func jsonNoun(typ reflect.Type) string {
	if typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Uint8 {
		return "a string in base64"
	}
	switch typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "an integer of type " + typ.String()
	}
}

func decodeState[S any](document []byte) (*S, error) {
	state := new(S)
	return state, json.Unmarshal(document, state)
}
