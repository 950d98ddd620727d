package storetest

import (
	"sync"

	"singularity/persistence"
	"singularity/workflow"
)

var contestStories = []story{
	{name: "unique/of many starts at once one becomes a run", tell: uniqueContest},
	{name: "replace/of many starts at once the last one stays", tell: replaceContest},
	{name: "replace/a run that a claim takes meanwhile is not cancelled", tell: replaceAgainstClaims},
}

// contest commits writes at the same time, each in a batch of its own.
func (f *fixture) contest(writes []persistence.Write) []persistence.Verdict {
	f.Helper()
	verdicts := make([]persistence.Verdict, len(writes))
	var group sync.WaitGroup
	for i, write := range writes {
		group.Go(func() {
			verdict, err := f.store.Commit(f.Context(), []persistence.Write{write})
			if err != nil {
				f.Errorf("commit: %v", err)
				return
			}
			verdicts[i] = verdict[0]
		})
	}
	group.Wait()
	return verdicts
}

func (f *fixture) rivals(n int, onConflict workflow.OnConflict) []persistence.Write {
	var writes []persistence.Write
	for range n {
		writes = append(writes, f.unique(1, onConflict))
	}
	return writes
}

func uniqueContest(f *fixture) {
	writes := f.rivals(20, workflow.Attach)
	winners := map[workflow.RunID]bool{}
	for i, verdict := range f.contest(writes) {
		if verdict.Existing == nil {
			winners[writes[i].Subject()] = true
		} else {
			winners[verdict.Existing.ID] = true
		}
	}
	if len(winners) != 1 {
		f.Errorf("the starts became %d runs, want 1", len(winners))
	}
	f.wantStates(map[workflow.State]int{workflow.Available: 1})
}

func (f *fixture) wantStates(want map[workflow.State]int) {
	f.Helper()
	got := map[workflow.State]int{}
	for _, run := range f.list(workflow.Filter{Limit: 1000}) {
		got[run.State]++
	}
	for _, state := range workflow.States {
		if got[state] != want[state] {
			f.Errorf("%d runs are %s, want %d", got[state], state, want[state])
		}
	}
}

func replaceContest(f *fixture) {
	const starts = 20
	replaced := map[workflow.RunID]bool{}
	for _, verdict := range f.contest(f.rivals(starts, workflow.Replace)) {
		if verdict.Err != nil || verdict.Existing != nil {
			f.Errorf("verdict %+v, want a run of its own", verdict)
		}
		if verdict.Changed != nil {
			replaced[verdict.Changed.ID] = true
		}
	}
	if len(replaced) != starts-1 {
		f.Errorf("%d runs are said to be replaced, want %d", len(replaced), starts-1)
	}
	f.wantStates(map[workflow.State]int{workflow.Available: 1, workflow.Cancelled: starts - 1})
}

// replaceAgainstClaims has starts and claims of the same run meet: either the
// claim has it, or it is cancelled.
func replaceAgainstClaims(f *fixture) {
	boot := f.join("a")
	taken := map[workflow.RunID]bool{}
	for range 30 {
		writes := append(f.rivals(3, workflow.Replace), claimOf(boot, 1), claimOf(boot, 1))
		for _, verdict := range f.contest(writes) {
			for _, activation := range verdict.Activations {
				taken[activation.Run.ID] = true
				f.wantState(activation.Run.ID, workflow.Running)
			}
		}
		for id := range taken {
			if f.run(id).State == workflow.Running {
				f.land(persistence.Cancel{Run: id, Reason: "by the test"})
			}
		}
		for _, write := range writes[:3] {
			run, err := f.store.Run(f.Context(), write.Subject())
			if err == nil && run.State == workflow.Cancelled && taken[run.ID] != (run.Reason == "by the test") {
				f.Errorf("run %s was taken: %t, and cancelled: %s", run.ID, taken[run.ID], run.Reason)
			}
		}
	}
	if len(taken) == 0 {
		f.Errorf("no claim took anything: the story did not happen")
	}
}
