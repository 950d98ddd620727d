package main

import (
	"slices"
	"strings"
	"testing"

	"singularity/workflow"
)

// audit holds the effects of many killed processes against what is promised:
// every acknowledged run has all its effects, in order; no step is repeated
// once its checkpoint is known; a process repeats at most the step that was in
// flight when the one before it was killed.
type audit struct {
	ledger *outside
	pids   []int          // of killed processes, in order
	marks  map[string]int // effects of each run at the last kill
	ended  map[workflow.RunID]bool
}

func newAudit(ledger *outside) *audit {
	return &audit{ledger: ledger, marks: map[string]int{}, ended: map[workflow.RunID]bool{}}
}

// byRun groups effects, each group in the order of arrival.
func byRun(effects []Effect) map[string][]Effect {
	runs := map[string][]Effect{}
	for _, effect := range effects {
		run, _, _ := strings.Cut(effect.Key, "/")
		runs[run] = append(runs[run], effect)
	}
	return runs
}

// killed notes how far each run was.
func (a *audit) killed(pid int) {
	a.pids = append(a.pids, pid)
	for run, effects := range byRun(a.ledger.all()) {
		a.marks[run] = len(effects)
	}
}

// awaitProgress waits until every run has passed a checkpoint since the last
// kill: it has begun a second step since, or ended.
func (a *audit) awaitProgress(t *testing.T, p *process, runs []workflow.RunID) {
	t.Helper()
	var closing []workflow.RunID
	a.ledger.await(t, "a checkpoint of every unfinished run", func(effects []Effect) bool {
		closing = closing[:0]
		seen := byRun(effects)
		for _, id := range runs {
			of := seen[id.String()]
			switch {
			case a.ended[id]:
			case len(of) > 0 && of[len(of)-1].Kind == kinds[len(kinds)-1]:
				closing = append(closing, id)
			case kindsIn(of[a.marks[id.String()]:]) < 2:
				return false
			}
		}
		return true
	})
	for _, id := range closing {
		p.awaitEnd(id)
		a.ended[id] = true
	}
}

func kindsIn(effects []Effect) int {
	kinds := map[string]bool{}
	for _, effect := range effects {
		kinds[effect.Kind] = true
	}
	return len(kinds)
}

func (a *audit) check(t testing.TB, acknowledged []workflow.RunID) {
	t.Helper()
	seen := byRun(a.ledger.all())
	for _, id := range acknowledged {
		effects := seen[id.String()]
		step := 0
		for i, effect := range effects {
			at := slices.Index(kinds, effect.Kind)
			switch {
			case at == step:
				step++
			case at != step-1:
				t.Errorf("run %s: effect %d is %s, which is neither the next step nor a repetition of the last", id, i, effect.Kind)
			case effect.PID == effects[i-1].PID:
				t.Errorf("run %s: process %d repeated step %s though nobody killed it", id, effect.PID, effect.Kind)
			}
		}
		if step != len(kinds) {
			t.Errorf("run %s is complete and has only %d of %d effects", id, step, len(kinds))
		}
	}
	// A kill repeats at most one step of a run.
	if most := len(a.pids) * len(seen); a.repeated() > most {
		t.Errorf("%d repetitions, at most %d are possible", a.repeated(), most)
	}
}

// repeated counts the effects whose key the ledger knew.
func (a *audit) repeated() int {
	effects := a.ledger.all()
	return len(effects) - keysOf(effects)
}

func TestAuditCatchesEachBrokenPromise(t *testing.T) {
	t.Parallel()
	id := workflow.NewRunID()
	effect := func(kind string, pid int) Effect {
		return Effect{Key: id.String() + "/" + kind, Kind: kind, PID: pid}
	}
	tests := map[string]struct {
		effects []Effect
		broken  bool
	}{
		"nothing wrong":               {[]Effect{effect("reserve", 1), effect("debit", 1), effect("credit", 1), effect("confirm", 1)}, false},
		"step in flight repeated":     {[]Effect{effect("reserve", 1), effect("debit", 1), effect("debit", 2), effect("credit", 2), effect("confirm", 2)}, false},
		"repeated without a kill":     {[]Effect{effect("reserve", 1), effect("debit", 1), effect("debit", 1), effect("credit", 1), effect("confirm", 1)}, true},
		"checkpointed step run again": {[]Effect{effect("reserve", 1), effect("debit", 1), effect("reserve", 2), effect("debit", 2), effect("credit", 2), effect("confirm", 2)}, true},
		"step left out":               {[]Effect{effect("reserve", 1), effect("credit", 1), effect("confirm", 1)}, true},
		"run lost":                    {[]Effect{effect("reserve", 1)}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := &recorder{TB: t}
			a := newAudit(&outside{effects: test.effects})
			a.pids = []int{1}
			a.check(recorder, []workflow.RunID{id})
			if recorder.failed != test.broken {
				t.Errorf("audit found a fault: %t, want %t", recorder.failed, test.broken)
			}
		})
	}
}

// recorder notes a failure in place of reporting it.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
