package workflow_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/workflow"
)

func TestDefinitionsThatPanic(t *testing.T) {
	t.Parallel()
	step := workflow.Do("a", nothing[int])
	valid := workflow.New("valid", step)
	accept := func(in int) (int, error) { return in, nil }
	result := func(s *int) int { return *s }
	tests := []struct {
		name   string
		define func()
		want   string
	}{
		{"no name", func() { workflow.New("", step) }, `workflow name ""`},
		{"space", func() { workflow.New("a b", step) }, `workflow name "a b": expected 1 to 128 letters, digits`},
		{"slash", func() { workflow.New("a/b", step) }, `workflow name "a/b"`},
		{"line break", func() { workflow.New("a\n", step) }, `workflow name "a\n"`},
		{"not ASCII", func() { workflow.New("größe", step) }, `workflow name "größe"`},
		{"first letter", func() { workflow.New("-a", step) }, "beginning with a letter or digit"},
		{"long name", func() { workflow.New(strings.Repeat("a", workflow.MaxName+1), step) }, "expected 1 to 128"},
		{"no step name", func() { workflow.New("w", workflow.Do("", nothing[int])) }, `workflow w: step name ""`},
		{"a turn as step name", func() { workflow.New("w", workflow.Do("agent[1]", nothing[int])) }, `workflow w: step name "agent[1]"`},
		{"repeated step", func() { workflow.New("w", step, workflow.Do("b", nothing[int]), step) }, `workflow w has two steps named "a"`},
		{"no steps", func() { workflow.New[int]("w") }, "workflow w has no steps"},
		{"the zero step", func() { workflow.New("w", workflow.Step[int]{}) }, `step name ""`},
		{"no body", func() { workflow.Do[int]("a", nil) }, `step "a" has no body`},
		{"no turn", func() { workflow.Loop[int]("a", nil) }, `step "a" has no body`},
		{"no accept", func() { workflow.Define[int](`w`, nil, result, step) }, "workflow w has no accept or no result function"},
		{"no result", func() { workflow.Define[int, int, int](`w`, accept, nil, step) }, "workflow w has no accept or no result function"},
		{"timeout", func() { step.Timeout(0) }, `step "a": timeout 0s is not positive`},
		{"version", func() { valid.Version(0) }, "workflow valid: version 0 is not positive"},
		{"durability", func() { valid.Durability("eternal") }, `workflow valid: durability "eternal" is none of`},
		{"state", func() { workflow.New("w", workflow.Do("a", nothing[func()])) }, "workflow w: JSON cannot carry func() (a func)"},
		{"input", func() {
			workflow.Define("w", func(struct{ C chan int }) (int, error) { return 0, nil }, result, step)
		}, "C (a chan)"},
		{"output", func() { workflow.Define("w", accept, func(*int) error { return nil }, step) }, "error (an interface, error)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if message := fmt.Sprint(recover()); !strings.Contains(message, test.want) {
					t.Errorf("panic: %s; want %q in it", message, test.want)
				}
			}()
			test.define()
		})
	}
}

func TestNamesThatAreValid(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "7", "llm_request", "Order-v2.final", strings.Repeat("a", workflow.MaxName)} {
		if got := workflow.Compile(workflow.New(name, workflow.Do(name, nothing[int]))).Name; got != name {
			t.Errorf("workflow %q is called %q", name, got)
		}
		if !workflow.ValidName(name) {
			t.Errorf("%q is no valid name", name)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	program := workflow.Compile(workflow.New("w", workflow.Do("a", nothing[int])))
	if program.Version != 1 || program.Durability != workflow.Checkpointed || program.Keyed {
		t.Errorf("a new workflow has version %d, durability %s, a key %t", program.Version, program.Durability, program.Keyed)
	}
	want := workflow.StepInfo{Name: "a", Kind: workflow.KindDo, Timeout: 30 * time.Second, Retry: workflow.Retry{
		Attempts: 5, Delays: []time.Duration{time.Second, 10 * time.Second, 100 * time.Second, 1000 * time.Second}, Jitter: [2]float64{0.1, 0.2},
	}}
	if !reflect.DeepEqual(program.Steps, []workflow.StepInfo{want}) {
		t.Errorf("steps are %+v, want %+v", program.Steps, want)
	}
}

func TestWorkflowMethodsReturnCopies(t *testing.T) {
	t.Parallel()
	original := workflow.New("w", workflow.Do("a", nothing[string]))
	changed := original.Version(2).Durability(workflow.Ephemeral).Key(func(in string) string { return in })

	before, after := workflow.Compile(original), workflow.Compile(changed)
	if before.Version != 1 || before.Durability != workflow.Checkpointed || before.Keyed {
		t.Errorf("the original changed: version %d, durability %s, a key %t", before.Version, before.Durability, before.Keyed)
	}
	if after.Version != 2 || after.Durability != workflow.Ephemeral || !after.Keyed {
		t.Errorf("the copy has version %d, durability %s, a key %t", after.Version, after.Durability, after.Keyed)
	}
	for program, want := range map[*workflow.Program]string{before: "", after: "k"} {
		if admission, err := program.Admit([]byte(`"k"`)); err != nil || admission.Key != want {
			t.Errorf("key is %q, %v; want %q", admission.Key, err, want)
		}
	}
}

func TestStepMethodsReturnCopies(t *testing.T) {
	t.Parallel()
	original := workflow.Do("a", nothing[int])
	changed := original.Timeout(time.Hour).Retry(workflow.Retry{Attempts: 1})
	before := workflow.Compile(workflow.New("w", original)).Steps[0]
	after := workflow.Compile(workflow.New("w", changed)).Steps[0]
	if before.Timeout != 30*time.Second || before.Retry.Attempts != 5 {
		t.Errorf("the original changed: %+v", before)
	}
	if after.Timeout != time.Hour || after.Retry.Attempts != 1 {
		t.Errorf("the copy is %+v", after)
	}
}

func TestWorkflowKeepsNothingOfItsCallers(t *testing.T) {
	t.Parallel()
	delays := []time.Duration{time.Second}
	steps := []workflow.Step[int]{workflow.Do("a", nothing[int]).Retry(workflow.Retry{Delays: delays})}
	w := workflow.New("w", steps...)

	delays[0] = time.Hour
	steps[0] = workflow.Do("b", func(context.Context, *int) error { return errBusy })
	workflow.Compile(w).Steps[0].Name = "c"

	program := workflow.Compile(w)
	if info := program.Steps[0]; info.Name != "a" || !slices.Equal(info.Retry.Delays, []time.Duration{time.Second}) {
		t.Errorf("the step is %+v", info)
	}
	if _, err := program.Execute(t.Context(), 0, new(int)); err != nil {
		t.Errorf("the step runs another body: %v", err)
	}
}

func TestTurnName(t *testing.T) {
	t.Parallel()
	program := workflow.Compile(workflow.New("w",
		workflow.Do("call", nothing[int]),
		workflow.Loop("agent", func(context.Context, *int) (bool, error) { return true, nil })))
	if got := program.Steps[0].TurnName(0); got != "call" {
		t.Errorf("a Do step is called %q", got)
	}
	if got := program.Steps[1].TurnName(17); got != "agent[17]" {
		t.Errorf("a turn is called %q", got)
	}
}
