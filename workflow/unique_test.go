package workflow

import (
	"strings"
	"testing"
	"time"
)

func TestUniqueByHasTheNamesOfItsMembers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"workflow", "queue", "key", "input"} {
		by, err := ParseUniqueBy(name)
		if err != nil || by.String() != name || !by.Valid() {
			t.Errorf("%s: became %q, valid: %t, %v", name, by, by.Valid(), err)
		}
	}
	if by, err := ParseUniqueBy("input", "workflow"); err != nil || by != ByWorkflow|ByInput || by.String() != "workflow, input" {
		t.Errorf("two: became %q, %v", by, err)
	}
	if _, err := ParseUniqueBy("workflow", "colour"); err == nil || !strings.Contains(err.Error(), `"colour"`) {
		t.Errorf("an unknown one: %v", err)
	}
	if none, err := ParseUniqueBy(); err != nil || none.Valid() || UniqueBy(1<<4).Valid() {
		t.Errorf("none is valid, or what there is not: %v", err)
	}
}

func TestUniqueErrorSaysWhatIsInTheWayAndWhy(t *testing.T) {
	t.Parallel()
	run := RunID{1}
	for _, test := range []struct {
		err   UniqueError
		words []string
	}{
		{UniqueError{Workflow: "order", Run: run, By: ByQueue | ByInput}, []string{run.String(), "the same queue, input", "has not ended"}},
		{UniqueError{Workflow: "order", Run: run, By: ByKey, Within: time.Hour}, []string{run.String(), "the same key", "order", "within 1h0m0s"}},
		{UniqueError{Workflow: "order", Run: run}, []string{run.String(), "order", "taken the place"}},
	} {
		for _, word := range test.words {
			if text := test.err.Error(); !strings.Contains(text, word) {
				t.Errorf("%q does not say %q", text, word)
			}
		}
	}
}
