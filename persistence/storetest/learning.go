package storetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"singularity/persistence"
)

var learningStories = []story{
	{name: "learnings/the newest of each type and name is kept", tell: learningsNewest},
	{name: "learnings/one without a version takes the place of any", tell: learningsUnversioned},
	{name: "learnings/one that is withdrawn has no document", tell: learningsWithdrawn},
	{name: "learnings/they outlive the process", restarts: true, tell: learningsRestart},
}

func learning(kind, name string, version int64, document string) persistence.Learning {
	l := persistence.Learning{Type: kind, Name: name, Version: version}
	if document != "" {
		l.Document = json.RawMessage(document)
	}
	return l
}

func (f *fixture) learn(learnings ...persistence.Learning) {
	f.Helper()
	if err := f.store.KeepLearnings(f.Context(), learnings); err != nil {
		f.Fatalf("keep learnings: %v", err)
	}
}

// wantLearned checks all that is kept.
func (f *fixture) wantLearned(want ...persistence.Learning) {
	f.Helper()
	kept, err := f.store.Learnings(f.Context())
	if err != nil {
		f.Fatalf("learnings: %v", err)
	}
	describe := func(list []persistence.Learning) (texts []string) {
		for _, l := range list {
			texts = append(texts, fmt.Sprintf("%s/%s %d %s", l.Type, l.Name, l.Version, l.Document))
		}
		return texts
	}
	if got, want := describe(kept), describe(want); !slices.Equal(got, want) {
		f.Fatalf("learnings %v, want %v", got, want)
	}
	for _, l := range kept {
		if l.KeptAt.IsZero() {
			f.Errorf("%s/%s was kept at no time", l.Type, l.Name)
		}
	}
}

func learningsNewest(f *fixture) {
	f.wantLearned()
	f.learn(learning("route", "", 5, `1`), learning("pattern", "b", 5, `2`), learning("pattern", "a", 6, `3`))
	f.learn(learning("route", "", 4, `4`), learning("pattern", "b", 5, `5`), learning("pattern", "a", 7, `6`))
	f.wantLearned(learning("pattern", "a", 7, `6`), learning("pattern", "b", 5, `2`), learning("route", "", 5, `1`))
	f.learn(learning("route", "", 8, `7`), learning("route", "", 6, `8`))
	f.learn()
	f.wantLearned(learning("pattern", "a", 7, `6`), learning("pattern", "b", 5, `2`), learning("route", "", 8, `7`))
}

func learningsUnversioned(f *fixture) {
	f.learn(learning("route", "", 0, `1`))
	f.learn(learning("route", "", 0, `2`))
	f.wantLearned(learning("route", "", 0, `2`))
	f.learn(learning("route", "", 5, `3`))
	f.learn(learning("route", "", 0, `4`))
	f.wantLearned(learning("route", "", 5, `4`))
	f.learn(learning("route", "", 5, `5`))
	f.wantLearned(learning("route", "", 5, `4`))
}

func learningsWithdrawn(f *fixture) {
	f.learn(learning("pattern", "a", 1, `1`))
	f.learn(learning("pattern", "a", 2, ""))
	f.wantLearned(learning("pattern", "a", 2, ""))
}

func learningsRestart(f *fixture) {
	f.learn(learning("pattern", "a", 1, `1`))
	f.restart()
	f.wantLearned(learning("pattern", "a", 1, `1`))
}
