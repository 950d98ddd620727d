package storetest

import (
	"bytes"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var restartStories = []story{
	{name: "restart/everything that was committed is there", restarts: true, tell: restartKeeps},
	{name: "restart/runs of the process before are released as crashed", restarts: true, tell: restartReleases},
	{name: "restart/a write of before is recognised", restarts: true, tell: restartRecognises},
}

func (f *fixture) restart() {
	f.Helper()
	f.store = f.config.Reopen(f, f.store)
}

func restartKeeps(f *fixture) {
	runs := map[workflow.RunID]workflow.Run{}
	for _, state := range workflow.States {
		id := f.reach(state).fence.Run
		runs[id] = f.run(id)
	}
	fence := f.started(f.join("a"))
	f.land(checkpoint(fence, "pay"))
	epoch := f.register("desk", fence.Boot)
	f.send(message("desk", "1"))
	token := f.token("A1", time.Now())
	f.restart()
	for id, before := range runs {
		if now := f.run(id); !equalRuns(now, before) {
			f.Errorf("run %+v came back as %+v", before, now)
		}
	}
	steps := f.steps(fence.Run)
	if len(steps) != 1 || !bytes.Equal(steps[0].State, []byte(`{"reserved":true}`)) {
		f.Errorf("history %+v, want one checkpoint", steps)
	}
	f.wantTokens(token)
	if agent := f.agent("desk"); agent.Epoch != epoch || agent.Waiting != 1 {
		f.Errorf("agent %+v, want epoch %d and one message", agent, epoch)
	}
}

func restartReleases(f *fixture) {
	fence := f.started(f.join("a"))
	f.land(checkpoint(fence, "pay"))
	f.restart()
	boot := f.join("a")
	if done := f.reassign(); done != (persistence.Reassigned{Released: 1}) {
		f.Errorf("reassigned %+v, want one released", done)
	}
	f.refuse(checkpoint(after(fence), "ship"), persistence.ErrFenced)
	f.refuse(claimOf(fence.Boot, 1), persistence.ErrFenced)
	taken := f.take(boot, 5)
	if !slices.Equal(ids(taken), []workflow.RunID{fence.Run}) || string(taken[0].State) != `{"reserved":true}` || taken[0].Run.Crashes != 1 {
		f.Errorf("taken %+v, want the run with its checkpoint and one crash", taken)
	}
}

func restartRecognises(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	w := completion(fence)
	f.land(w)
	handedOver := f.started(boot)
	mere := release(handedOver, workflow.Available, 0)
	f.land(mere)
	f.restart()
	f.land(w)
	f.land(mere)
	f.wantState(fence.Run, workflow.Completed)
	f.wantState(handedOver.Run, workflow.Available)
}
