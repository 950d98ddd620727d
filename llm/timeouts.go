package llm

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Timeouts bound how long a provider may be silent, and how long a call may
// take. They are the same for all providers.
type Timeouts struct {
	// FirstToken is how long a call may wait for the first token. An embedding,
	// which comes at once, has as long. Defaults to 30s.
	FirstToken time.Duration
	// Gap is how long an answer may pause between two pieces. Defaults to 60s.
	Gap time.Duration
	// Total is how long a call may take. Defaults to 10m.
	Total time.Duration
}

// WithDefaults returns t with its defaults in place of zeros.
func (t Timeouts) WithDefaults() Timeouts {
	return Timeouts{
		FirstToken: cmp.Or(t.FirstToken, 30*time.Second),
		Gap:        cmp.Or(t.Gap, 60*time.Second),
		Total:      cmp.Or(t.Total, 10*time.Minute),
	}
}

// Validate returns every problem of t.
func (t Timeouts) Validate() error {
	var problems []error
	for _, timeout := range []struct {
		name  string
		value time.Duration
	}{{"first token", t.FirstToken}, {"gap", t.Gap}, {"total", t.Total}} {
		if timeout.value < 0 {
			problems = append(problems, fmt.Errorf("%s timeout %s is negative", timeout.name, timeout.value))
		}
	}
	return errors.Join(problems...)
}
