package workflow

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestFilterOfWhatCanBeChanged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		filter Filter
		cancel []State // nil for refused
		retry  []State
	}{
		{"all there are", Filter{Limit: 5, Before: RunID{1}}, nil, nil},
		{"a workflow", Filter{Workflow: "order"}, []State{Scheduled, Available, Running, Retryable, Waiting}, []State{Failed, Quarantined}},
		{"a time", Filter{CreatedAfter: time.Unix(1, 0)}, []State{Scheduled, Available, Running, Retryable, Waiting}, []State{Failed, Quarantined}},
		{"a state of either", Filter{States: []State{Waiting}}, []State{Waiting}, []State{Waiting}},
		{"an end", Filter{States: []State{Cancelled}}, nil, []State{Cancelled}},
		{"no end", Filter{States: []State{Running}}, []State{Running}, nil},
		{"the good end", Filter{States: []State{Failed, Completed}, Workflow: "order"}, nil, nil},
	} {
		for change, want := range map[string][]State{"cancel": test.cancel, "retry": test.retry} {
			narrowed, err := test.filter.ToCancel()
			if change == "retry" {
				narrowed, err = test.filter.ToRetry()
			}
			var refusal *InputError
			switch {
			case want == nil && !errors.As(err, &refusal):
				t.Errorf("%s of %s: %v, want a refusal", change, test.name, err)
			case want != nil && (err != nil || !slices.Equal(narrowed.States, want)):
				t.Errorf("%s of %s: states %v, %v, want %v", change, test.name, narrowed.States, err, want)
			}
		}
	}
}
