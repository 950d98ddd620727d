package workflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"singularity/workflow"
)

type (
	order struct {
		ID       string         `json:"id"`
		Customer customer       `json:"customer"`
		Lines    []line         `json:"lines"`
		Labels   map[string]int `json:"labels"`
		Rush     bool           `json:"rush"`
		Due      time.Time      `json:"due,omitzero"`
		Parent   workflow.RunID `json:"parent,omitzero"`
		Scan     []byte         `json:"scan"`
	}
	customer struct {
		Name    string  `json:"name"`
		Address address `json:"address"`
	}
	address struct {
		City string `json:"city"`
	}
	line struct {
		Price float64 `json:"price"`
		Count uint8   `json:"count"`
	}
)

func nothing[S any](context.Context, *S) error { return nil }

// programOf compiles a workflow of one step.
func programOf[S any](body func(context.Context, *S) error) *workflow.Program {
	return workflow.Compile(workflow.New("test", workflow.Do("step", body)))
}

func TestInputErrorsNameTheField(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, input, field, reason string
	}{
		{"empty", ``, "", "the document is empty; expected JSON"},
		{"white space", " \n\t", "", "the document is empty; expected JSON"},
		{"not JSON", `hello`, "", "the document is not JSON at byte 1: invalid character 'h' looking for beginning of value"},
		{"not JSON inside", `{"id":"7",}`, "", "the document is not JSON at byte 11: invalid character '}' looking for beginning of object key string"},
		{"truncated", `{"id":"7"`, "", "the document is not JSON: it ends too early"},
		{"truncated in a string", `{"id":"7`, "", "the document is not JSON: it ends too early"},
		{"trailing word", `{} x`, "", "there is data after the JSON document"},
		{"trailing document", `{}{}`, "", "there is data after the JSON document"},
		{"trailing bracket", `{}]`, "", "there is data after the JSON document"},
		{"not an object", `[]`, "", "the document must be an object, not array"},
		{"unknown", `{"idd":"7"}`, "idd", "is not a field of this input"},
		{"unknown inside", `{"customer":{"nmae":"Ada"}}`, "nmae", "is not a field of this input"},
		{"unknown with quotes", `{"\"a\"":1}`, `"a"`, "is not a field of this input"},
		{"string", `{"id":7}`, "id", "must be a string, not number"},
		{"object", `{"customer":"Ada"}`, "customer", "must be an object, not string"},
		{"nested", `{"customer":{"address":{"city":false}}}`, "customer.address.city", "must be a string, not bool"},
		{"array", `{"lines":{}}`, "lines", "must be an array, not object"},
		{"inside an array", `{"lines":[{"price":1},{"price":"2"}]}`, "lines.price", "must be a number, not string"},
		{"too large", `{"lines":[{"count":300}]}`, "lines.count", "must be an integer of type uint8, not number 300"},
		{"fraction", `{"lines":[{"count":1.5}]}`, "lines.count", "must be an integer of type uint8, not number 1.5"},
		{"map", `{"labels":{"a":"b"}}`, "labels", "must be an integer of type int, not string"},
		{"bool", `{"rush":"yes"}`, "rush", "must be true or false, not string"},
		{"bytes", `{"scan":7}`, "scan", "must be a string in base64, not number"},
		{"id", `{"parent":"7"}`, "", `"7" is not a run id; expected a UUID such as 01930000-0000-0000-0000-000000000000`},
		{"time", `{"due":"today"}`, "", `the document cannot be read: parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"`},
	}
	program := programOf(nothing[order])
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := program.Admit([]byte(test.input))
			invalid := (*workflow.InputError)(nil)
			if !errors.As(err, &invalid) {
				t.Fatalf("Admit(%s): %v, want an InputError", test.input, err)
			}
			if *invalid != (workflow.InputError{Field: test.field, Reason: test.reason}) {
				t.Errorf("Admit(%s):\nfield %q, reason %q; want\nfield %q, reason %q", test.input, invalid.Field, invalid.Reason, test.field, test.reason)
			}
		})
	}
}

func TestInputThatCannotBeEncodedAgainIsRefused(t *testing.T) {
	t.Parallel()
	_, err := programOf(nothing[oneWay]).Admit([]byte(`{}`))
	if invalid := (*workflow.InputError)(nil); !errors.As(err, &invalid) || !strings.Contains(invalid.Reason, "cannot be encoded again") {
		t.Errorf("Admit: %v, want an InputError", err)
	}
}

// oneWay can be read from JSON, but not written.
type oneWay struct{}

func (oneWay) MarshalJSON() ([]byte, error) { return nil, errBusy }

func TestEqualInputsHaveOneForm(t *testing.T) {
	t.Parallel()
	program := programOf(nothing[order])
	admit := func(input string) workflow.Admission {
		t.Helper()
		admission, err := program.Admit([]byte(input))
		if err != nil {
			t.Fatal(err)
		}
		return admission
	}
	first := admit(`{"id":"7","labels":{"a":1,"b":2}}`)
	for _, equal := range []string{
		` {"labels" : {"b":2, "a":1}, "id": "\u0037", "rush": false} `, `{"ID":"7","labels":{"a":1,"b":2},"lines":null}`, string(first.Input),
	} {
		if other := admit(equal); other.Hash != first.Hash || !bytes.Equal(other.Input, first.Input) {
			t.Errorf("%s is %s, want %s", equal, other.Input, first.Input)
		}
	}
	if other := admit(`{"id":"8","labels":{"a":1,"b":2}}`); other.Hash == first.Hash {
		t.Error("different inputs have one hash")
	}
}

func TestAcceptDecidesAboutTheInput(t *testing.T) {
	t.Parallel()
	errNoCustomer := errors.New("customer is missing")
	tests := []struct {
		name   string
		accept error
		want   workflow.InputError
	}{
		{"field", workflow.Invalid("id", "must not be empty"), workflow.InputError{Field: "id", Reason: "must not be empty"}},
		{"wrapped field", errors.Join(workflow.Invalidf("id", "must have %d digits", 7)), workflow.InputError{Field: "id", Reason: "must have 7 digits"}},
		{"any error", errNoCustomer, workflow.InputError{Reason: "customer is missing"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			program := workflow.Compile(workflow.Define("test",
				func(in order) (order, error) { return in, test.accept }, func(o *order) order { return *o }, workflow.Do("step", nothing[order])))
			_, err := program.Admit([]byte(`{}`))
			if invalid := (*workflow.InputError)(nil); !errors.As(err, &invalid) || *invalid != test.want {
				t.Errorf("Admit: %v, want %v", err, &test.want)
			}
		})
	}
}

func TestAcceptCannotChangeTheStoredInput(t *testing.T) {
	t.Parallel()
	program := workflow.Compile(workflow.Define("test",
		func(in order) (order, error) {
			in.Labels["seen"]++
			return in, nil
		},
		func(o *order) order { return *o },
		workflow.Do("step", nothing[order])))
	first, err := program.Admit([]byte(`{"labels":{"a":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	again, err := program.Admit(first.Input) // what a run does that resumes before its first checkpoint
	if err != nil || again.Hash != first.Hash || again.State.(*order).Labels["seen"] != 1 {
		t.Errorf("admitted again as %s with %v, %v; want %s", again.Input, again.State, err, first.Input)
	}
}

func TestPanicsOfAWorkflowsOwnCodeAreErrors(t *testing.T) {
	t.Parallel()
	accept := workflow.Compile(workflow.Define("test",
		func(in order) (order, error) { return order{Lines: in.Lines[7:8]}, nil },
		func(o *order) order { return *o },
		workflow.Do("step", nothing[order])))
	key := workflow.Compile(workflow.New("test", workflow.Do("step", nothing[order])).Key(func(o order) string { return fmt.Sprint(o.Lines[7]) }))
	result := workflow.Compile(workflow.Define("test",
		func(in order) (order, error) { return in, nil },
		func(o *order) line { return o.Lines[7] },
		workflow.Do("step", nothing[order])))
	mine := programOf(nothing[mined])

	tests := []struct {
		name      string
		call      func() error
		permanent bool
	}{
		{"accept", func() error { _, err := accept.Admit([]byte(`{}`)); return err }, false},
		{"key", func() error { _, err := key.Admit([]byte(`{}`)); return err }, false},
		{"result", func() error { _, err := result.Output(&order{}); return err }, true},
		{"MarshalJSON in Encode", func() error { _, err := mine.Encode(&mined{}, "step"); return err }, true},
		{"MarshalJSON in Output", func() error { _, err := mine.Output(&mined{}); return err }, true},
		{"MarshalJSON in Copy", func() error { _, err := mine.Copy(&mined{}); return err }, false},
		{"UnmarshalJSON in Decode", func() error { _, err := mine.Decode([]byte(`{}`)); return err }, false},
		{"UnmarshalJSON in Admit", func() error { _, err := mine.Admit([]byte(`{}`)); return err }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.call()
			if panicked := (*workflow.PanicError)(nil); !errors.As(err, &panicked) || workflow.IsPermanent(err) != test.permanent {
				t.Errorf("error is %v, want a PanicError, permanent %t", err, test.permanent)
			}
		})
	}
}

// mined blows up at the touch of JSON.
type mined struct{}

func (mined) MarshalJSON() ([]byte, error) { panic("boom") }
func (*mined) UnmarshalJSON([]byte) error  { panic("boom") }

func TestInputLimit(t *testing.T) {
	t.Parallel()
	program := programOf(nothing[string])
	const escapes = workflow.MaxInput/len(`\u003c`) + 1
	tests := []struct {
		name  string
		input string
		size  int // in the error; 0 for none
	}{
		{"at", quoted(workflow.MaxInput), 0},
		{"beyond", quoted(workflow.MaxInput + 1), workflow.MaxInput + 1},
		{"beyond once encoded again", `"` + strings.Repeat("<", escapes) + `"`, escapes*len(`\u003c`) + 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := program.Admit([]byte(test.input))
			checkLimit(t, err, test.size, "input", workflow.MaxInput)
		})
	}
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	program := workflow.Compile(workflow.New("test", workflow.Do("step", nothing[string])).Key(func(s string) string { return s }))
	for size, beyond := range map[int]int{workflow.MaxKey: 0, workflow.MaxKey + 1: workflow.MaxKey + 1} {
		admission, err := program.Admit([]byte(quoted(size + 2)))
		checkLimit(t, err, beyond, "key", workflow.MaxKey)
		if err == nil && len(admission.Key) != size {
			t.Errorf("key has %d bytes, want %d", len(admission.Key), size)
		}
	}
}

func TestStateAndOutputLimit(t *testing.T) {
	t.Parallel()
	program := programOf(nothing[string])
	for size, beyond := range map[int]int{workflow.MaxState: 0, workflow.MaxState + 1: workflow.MaxState + 1} {
		state, err := program.Decode([]byte(quoted(size)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = program.Encode(state, "agent[3]")
		checkLimit(t, err, beyond, "state after step agent[3]", workflow.MaxState)
		_, err = program.Output(state)
		checkLimit(t, err, beyond, "output", workflow.MaxState)
		if err != nil && !workflow.IsPermanent(err) {
			t.Errorf("%v would be tried again, in vain", err)
		}
	}
}

// quoted is a JSON string of size bytes.
func quoted(size int) string { return `"` + strings.Repeat("a", size-2) + `"` }

// checkLimit checks that err is about size bytes of what; size 0 means no error.
func checkLimit(t *testing.T, err error, size int, what string, most int) {
	t.Helper()
	limit := (*workflow.LimitError)(nil)
	switch {
	case size == 0 && err != nil:
		t.Errorf("%s at its limit: %v", what, err)
	case size > 0 && !errors.As(err, &limit):
		t.Errorf("%s of %d bytes: %v, want a LimitError", what, size, err)
	case size > 0 && *limit != workflow.LimitError{What: what, Size: size, Limit: most}:
		t.Errorf("%+v, want %s of %d bytes, at most %d", *limit, what, size, most)
	}
}

func TestStatesThatCannotBeEncodedAreNamedByTheirStep(t *testing.T) {
	t.Parallel()
	program := programOf(nothing[map[string]any])
	_, err := program.Encode(&map[string]any{"done": make(chan int)}, "agent[3]")
	if err == nil || !strings.Contains(err.Error(), "state after step agent[3] cannot be encoded as JSON") || !workflow.IsPermanent(err) {
		t.Errorf("Encode: %v, want a permanent error that names the step", err)
	}
}

func TestStatesOfAnotherVersionAreDecoded(t *testing.T) {
	t.Parallel()
	program := programOf(nothing[order])
	state, err := program.Decode([]byte(`{"id":"7","dropped":{"a":1},"customer":{"name":"Ada","age":36}}`))
	if err != nil || state.(*order).ID != "7" || state.(*order).Customer.Name != "Ada" {
		t.Errorf("decoded as %+v, %v; want unknown fields dropped", state, err)
	}
	if state, err := program.Decode([]byte(`{"id":7}`)); err == nil || state != nil {
		t.Errorf("a state of another type is decoded as %+v, %v", state, err)
	}
}

// explode is a body that the stack of its panic must name.
func explode(_ context.Context, o *order) error {
	o.Lines[7].Count++
	return nil
}

func TestPanicOfABodyIsAnErrorWithItsStack(t *testing.T) {
	t.Parallel()
	done, err := programOf(explode).Execute(t.Context(), 0, &order{})
	panicked := (*workflow.PanicError)(nil)
	if !errors.As(err, &panicked) || done {
		t.Fatalf("Execute: done %t, %v; want a PanicError", done, err)
	}
	if !strings.Contains(panicked.Stack, "workflow_test.explode") || !strings.Contains(err.Error(), "index out of range [7]") {
		t.Errorf("the error does not say where: %v", err)
	}
	if _, again := (workflow.Retry{}).Next(1, err, 0); !again {
		t.Error("a panic is not tried again")
	}
}

func TestFailedAttemptLeavesNoTrace(t *testing.T) {
	t.Parallel()
	type state struct {
		Count  int
		List   []string
		Nested map[string][]int
		Link   *line
	}
	program := programOf(func(_ context.Context, s *state) error {
		s.Count++
		s.List[0] = "changed"
		s.List = append(s.List, "more")
		s.Nested["a"][0] = 7
		maps.DeleteFunc(s.Nested, func(key string, _ []int) bool { return key == "b" })
		s.Link.Count++
		return errBusy
	})
	checkpoint, err := program.Decode([]byte(`{"Count":1,"List":["a","b"],"Nested":{"a":[1],"b":[2]},"Link":{"price":1,"count":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	before, err := program.Encode(checkpoint, "step")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		working, err := program.Copy(checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := program.Execute(t.Context(), 0, working); !errors.Is(err, errBusy) {
			t.Fatalf("Execute: %v", err)
		}
		if after, err := program.Encode(checkpoint, "step"); err != nil || !bytes.Equal(after, before) {
			t.Fatalf("the checkpoint is %s, %v after a failed attempt; it was %s", after, err, before)
		}
	}
}

func TestExecuteTellsWhenAStepIsDone(t *testing.T) {
	t.Parallel()
	program := workflow.Compile(workflow.New("test",
		workflow.Do("once", nothing[int]),
		workflow.Loop("until_3", func(_ context.Context, n *int) (bool, error) {
			*n++
			return *n == 3, nil
		}),
	))
	n := new(int)
	if done, err := program.Execute(t.Context(), 0, n); err != nil || !done {
		t.Errorf("a Do step: done %t, %v", done, err)
	}
	for turn := 1; turn <= 3; turn++ {
		if done, err := program.Execute(t.Context(), 1, n); err != nil || done != (turn == 3) {
			t.Errorf("turn %d of a loop: done %t, %v", turn, done, err)
		}
	}
}

// masked has a JSON form by its pointer's methods only.
type masked struct{ digits string }

func (m *masked) MarshalJSON() ([]byte, error) { return json.Marshal("#" + m.digits) }
func (m *masked) UnmarshalJSON(d []byte) error {
	return json.Unmarshal(bytes.Replace(d, []byte("#"), nil, 1), &m.digits)
}

func TestFormatsOfPointersAreUsedThroughout(t *testing.T) {
	t.Parallel()
	type card struct{ Number masked }
	program := programOf(nothing[card])
	admission, err := program.Admit([]byte(`{"Number":"#4711"}`))
	if err != nil || string(admission.Input) != `{"Number":"#4711"}` {
		t.Errorf("admitted as %s, %v", admission.Input, err)
	}
	output, err := program.Output(admission.State)
	if err != nil || string(output) != `{"Number":"#4711"}` {
		t.Errorf("output is %s, %v", output, err)
	}
}

func TestVersionsOfOneWorkflow(t *testing.T) {
	t.Parallel()
	v := func(number int) *workflow.Workflow[order, order] {
		return workflow.New("orders", workflow.Do("step", nothing[order])).Version(number)
	}
	other := workflow.New("others", workflow.Do("step", nothing[order]))
	retyped := workflow.New("orders", workflow.Do("step", nothing[line]))
	tests := []struct {
		name   string
		newest workflow.Definition
		older  []workflow.Definition
		want   string // of the error
	}{
		{"one", v(1), nil, ""},
		{"gaps in any order", v(5), []workflow.Definition{v(1), v(3)}, ""},
		{"other name", v(2), []workflow.Definition{other}, "workflow others is no version of workflow orders"},
		{"same number", v(2), []workflow.Definition{v(1), v(1)}, "workflow orders has two versions 1"},
		{"newest last", v(1), []workflow.Definition{v(2)}, "version 2 is newer than version 1"},
		{"other types", v(2), []workflow.Definition{retyped}, "versions 2 and 1 differ in input or output"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			programs, err := workflow.CompileVersions(test.newest, test.older...)
			switch {
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error is %v, want %q", err, test.want)
			case test.want == "" && (err != nil || len(programs) != 1+len(test.older)):
				t.Errorf("%d programs, %v", len(programs), err)
			}
		})
	}
}

func TestStepIndex(t *testing.T) {
	t.Parallel()
	program := workflow.Compile(workflow.New("test", workflow.Do("a", nothing[int]), workflow.Do("b", nothing[int])))
	for name, want := range map[string]int{"a": 0, "b": 1, "c": -1, "": -1} {
		if got := program.StepIndex(name); got != want {
			t.Errorf("StepIndex(%q) = %d, want %d", name, got, want)
		}
	}
}

// FuzzAdmit checks that an input is refused by a typed error or has a form
// that is admitted again as the same.
func FuzzAdmit(f *testing.F) {
	for _, input := range []string{``, `{}`, `{"id":"7","lines":[{"price":1e300}]}`, `{"idd":1}`, `{"labels":{"\ud800":1}}`, `{"due":"2026-03-01T12:00:00+01:00"}`, `{} {}`} {
		f.Add([]byte(input))
	}
	program := programOf(nothing[order])
	f.Fuzz(func(t *testing.T, input []byte) {
		first, err := program.Admit(input)
		invalid, limit := (*workflow.InputError)(nil), (*workflow.LimitError)(nil)
		if err != nil {
			if !errors.As(err, &invalid) && !errors.As(err, &limit) {
				t.Errorf("Admit(%q): %v, which is neither an InputError nor a LimitError", input, err)
			}
			return
		}
		if again, err := program.Admit(first.Input); err != nil || again.Hash != first.Hash {
			t.Errorf("Admit(%q) gives %s, which is admitted as %s, %v", input, first.Input, again.Input, err)
		}
	})
}
