package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// recorder is the testing.TB of a story that is expected to find something.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	findings []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings = append(r.findings, fmt.Sprintf(format, args...))
}

// enough is how a story that cannot go on ends.
type enough struct{}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(enough{})
}

// findings tells a story about a store and returns what it found wrong.
func findings(t *testing.T, story story, wrap func(*memory.Store) persistence.Store) []string {
	t.Helper()
	r := &recorder{TB: t}
	var inner *memory.Store
	config := Config{
		Patience: 5 * time.Second, // for what some of the faults keep from happening
		Open: func(testing.TB) persistence.Store {
			inner = memory.New()
			return wrap(inner)
		},
		Declare: func(t testing.TB, _ persistence.Store, judge persistence.BootID, charge persistence.Charge) {
			if ended, err := inner.Declare(t.Context(), judge, charge); err != nil || !ended {
				t.Fatalf("declare: %v, %v", ended, err)
			}
		},
		JobResult: func(_ context.Context, _ persistence.Store, run workflow.RunID) (JobResult, bool, error) {
			result, found := inner.JobResult(run)
			return JobResult(result), found, nil
		},
	}
	func() {
		defer func() {
			if value := recover(); value != nil && value != (enough{}) {
				panic(value)
			}
		}()
		story.tell(setup(r, config))
	}()
	return r.findings
}

func TestSoundStorePasses(t *testing.T) {
	t.Parallel()
	for _, story := range stories() {
		if story.restarts {
			continue
		}
		found := findings(t, story, func(store *memory.Store) persistence.Store { return store })
		if len(found) > 0 {
			t.Errorf("%s: %s", story.name, strings.Join(found, "; "))
		}
	}
}

func TestFaultyStoresDoNotPass(t *testing.T) {
	t.Parallel()
	byName := map[string]story{}
	for _, story := range stories() {
		byName[story.name] = story
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			story, ok := byName[fault.story]
			if !ok {
				t.Fatalf("there is no story %q", fault.story)
			}
			if len(findings(t, story, fault.wrap)) == 0 {
				t.Errorf("%q found nothing", fault.story)
			}
		})
	}
}

func TestStoriesHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, story := range stories() {
		if seen[story.name] {
			t.Errorf("there are two stories %q", story.name)
		}
		seen[story.name] = true
	}
}
