package patterns_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

// school is a hub that remembers what it taught.
type school struct {
	*testing.T
	taught map[string]centralcloud.Lesson
	now    time.Time
}

// teach teaches what changes with these findings, and returns their names, with a
// minus before those that are withdrawn.
func (s *school) teach(benchmarks patterns.Benchmarks, found ...patterns.Finding) (names []string) {
	s.Helper()
	s.now = s.now.Add(time.Minute)
	taught := slices.Collect(maps.Values(s.taught))
	for i := range found {
		found[i].MadeAt = s.now
	}
	changes, err := patterns.Changes(taught, found, benchmarks, s.now)
	if err != nil {
		s.Fatal(err)
	}
	for _, lesson := range changes {
		for _, before := range taught {
			if before.Type == lesson.Type && before.Version >= lesson.Version {
				s.Errorf("%s has version %d, and %s had %d", lesson.Name, lesson.Version, before.Name, before.Version)
			}
		}
		s.taught[lesson.Type+lesson.Name] = lesson
		name := lesson.Name
		if lesson.Withdrawn() {
			name = "-" + name
		}
		names = append(names, name)
	}
	return names
}

func (s *school) want(what string, got []string, want ...string) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Fatalf("%s: taught %q, want %q", what, got, want)
	}
}

func TestWhatIsTaughtIsWhatHasChanged(t *testing.T) {
	t.Parallel()
	s := &school{T: t, taught: map[string]centralcloud.Lesson{}, now: time.Unix(1_700_000_000, 0).UTC()}
	none := patterns.Benchmarks{}
	a := patterns.Finding{Name: "a", Value: 1, Rule: 1, FirstSeen: s.now}
	b := patterns.Finding{Name: "b", Value: 1, Rule: 1, FirstSeen: s.now}
	s.want("both are new", s.teach(none, a, b), "a", "b")
	a.Value, a.FirstSeen = 1.1, s.now.Add(time.Hour)
	s.want("about the same", s.teach(none, a, b))
	a.Value = 2
	s.want("one has another value", s.teach(none, a, b), "a")
	b.Rule = 2
	s.want("one has another rule", s.teach(none, a, b), "b")
	s.want("one holds no more", s.teach(none, b), "-a")
	s.want("it still does not", s.teach(none, b))
	s.now = s.now.Add(time.Hour)
	s.want("it holds again, and the other is old", s.teach(none, a, b), "a", "b")

	holding, err := patterns.Holding(slices.Collect(maps.Values(s.taught)))
	if err != nil || len(holding) != 2 || holding[0].Name != "a" || !holding[1].FirstSeen.Equal(time.Unix(1_700_000_000, 0)) {
		t.Errorf("holding are %+v, %v; want both, the second as it was first seen", holding, err)
	}
}

func TestBenchmarksAreTaughtWhenTheyDiffer(t *testing.T) {
	t.Parallel()
	s := &school{T: t, taught: map[string]centralcloud.Lesson{}, now: time.Unix(1_700_000_000, 0).UTC()}
	s.want("none", s.teach(patterns.Benchmarks{MadeAt: s.now}))
	one := patterns.Benchmarks{MadeAt: s.now, Models: []patterns.Benchmark{{Arm: small, TaskType: "math", Calls: 1}}}
	s.want("the first", s.teach(one), "")
	one.MadeAt = s.now.Add(time.Hour)
	s.want("the same", s.teach(one))
	s.want("none any more", s.teach(patterns.Benchmarks{MadeAt: s.now}), "")
}
