package storetest

import (
	"cmp"
	"errors"
	"maps"
	"testing"
	"time"

	"singularity/internal/testclock"
	"singularity/persistence"
	"singularity/workflow"
)

// fixture is a store and one story's dealings with it. A dealing that is not
// answered as it must be ends the story.
type fixture struct {
	testing.TB
	config Config
	store  persistence.Store
	runs   uint16                        // drafted so far
	labels map[string]persistence.BootID // of the boots that live
}

func setup(t testing.TB, config Config) *fixture {
	config.Patience = cmp.Or(config.Patience, time.Minute)
	return &fixture{TB: t, config: config, store: config.Open(t), labels: map[string]persistence.BootID{}}
}

// now is the time on the clock of the store.
func (f *fixture) now() time.Time { return time.Now().Add(f.config.Ahead) }

// withinADay is for stories that must not go on after midnight.
func (f *fixture) withinADay() {
	f.Helper()
	testclock.AwayFromMidnight(f, f.now())
}

const (
	flow  = "order"   // the workflow of most runs
	queue = "default" // their queue
)

// known are the definitions that claims of the fixture ask for.
var known = []persistence.Definition{{Workflow: flow, Version: 1}}

// commit commits a batch that must land as a whole.
func (f *fixture) commit(batch ...persistence.Write) []persistence.Verdict {
	f.Helper()
	verdicts, err := f.store.Commit(f.Context(), batch)
	if err != nil {
		f.Fatalf("commit of %d writes: %v", len(batch), err)
	}
	if len(verdicts) != len(batch) {
		f.Fatalf("commit of %d writes returned %d verdicts", len(batch), len(verdicts))
	}
	return verdicts
}

// try commits one write and returns what became of it.
func (f *fixture) try(write persistence.Write) persistence.Verdict {
	f.Helper()
	return f.commit(write)[0]
}

// land commits one write that must land.
func (f *fixture) land(write persistence.Write) persistence.Verdict {
	f.Helper()
	verdict := f.try(write)
	if verdict.Err != nil {
		f.Fatalf("%T: %v", write, verdict.Err)
	}
	return verdict
}

// refuse commits one write that must be refused with the given error.
func (f *fixture) refuse(write persistence.Write, want error) {
	f.Helper()
	if verdict := f.try(write); !errors.Is(verdict.Err, want) {
		f.Fatalf("%T: verdict %v, want %v", write, verdict.Err, want)
	}
}

// conflict commits one write that must meet a key or id in use.
func (f *fixture) conflict(write persistence.Write) *workflow.KeyConflictError {
	f.Helper()
	verdict := f.try(write)
	conflict, ok := errors.AsType[*workflow.KeyConflictError](verdict.Err)
	if !ok {
		f.Fatalf("%T: verdict %v, want a key conflict", write, verdict.Err)
	}
	return conflict
}

// join makes a living boot, with the given label unless another has it.
func (f *fixture) join(label string) persistence.BootID {
	f.Helper()
	boot := persistence.Boot{
		ID: persistence.BootID(label + "-" + workflow.NewRunID().String()), Instance: label,
		Hostname: "host", PID: 1, Version: "test",
	}
	if f.labels[label] != "" {
		boot.Instance = string(boot.ID)
	}
	if err := f.store.Join(f.Context(), boot); err != nil {
		f.Fatalf("join %s: %v", label, err)
	}
	f.labels[boot.Instance] = boot.ID
	return boot.ID
}

func (f *fixture) leave(boot persistence.BootID) {
	f.Helper()
	if err := f.store.Leave(f.Context(), boot); err != nil {
		f.Fatalf("leave %s: %v", boot, err)
	}
	maps.DeleteFunc(f.labels, func(_ string, living persistence.BootID) bool { return living == boot })
}

// draft is an insert of a run without a key, due now, that nobody owns yet.
// Its id is after those of all drafts before.
func (f *fixture) draft() persistence.Insert {
	f.runs++
	return persistence.Insert{
		Run: workflow.RunID{0x01, 0x90, 6: 0x70, 8: 0x80, 14: byte(f.runs >> 8), 15: byte(f.runs)}, Workflow: flow, Version: 1, Step: "reserve", Queue: queue,
		Input: []byte(`{"item":"tea"}`), InputHash: [32]byte{1},
	}
}

// stored inserts a run that becomes available.
func (f *fixture) stored() workflow.RunID {
	f.Helper()
	insert := f.draft()
	f.land(insert)
	return insert.Run
}

// take claims for boot, from the usual queue.
func (f *fixture) take(boot persistence.BootID, limit int) []persistence.Activation {
	f.Helper()
	return f.land(claimOf(boot, limit)).Activations
}

func claimOf(boot persistence.BootID, limit int) persistence.Claim {
	return persistence.Claim{
		ID: workflow.NewRunID().String(), Boot: boot, Queue: queue, Limit: limit, Known: known,
	}
}

// started inserts a run that boot owns.
func (f *fixture) started(boot persistence.BootID) persistence.Fence {
	f.Helper()
	insert := f.draft()
	insert.Owner = boot
	if verdict := f.land(insert); !verdict.Owned {
		f.Fatalf("insert as owned by %s, which is alive: not owned", boot)
	}
	return persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1}
}

// checkpoint is a finished step.
func checkpoint(fence persistence.Fence, next string) persistence.Advance {
	return persistence.Advance{
		Fence: fence, State: workflow.Running, Step: next,
		Entry: &persistence.Entry{
			Step: "reserve", Attempt: 1, Outcome: workflow.StepCompleted, State: []byte(`{"reserved":true}`),
			StartedAt: time.Now(), FinishedAt: time.Now(),
		},
	}
}

// completion is the last finished step.
func completion(fence persistence.Fence) persistence.Advance {
	w := checkpoint(fence, "")
	w.State = workflow.Completed
	w.Entry.Output = []byte(`{"sent":true}`)
	return w
}

// failure is the attempt that ends a run.
func failure(fence persistence.Fence) persistence.Advance {
	w := checkpoint(fence, "reserve")
	w.State, w.Attempt, w.Error = workflow.Failed, 1, "out of tea"
	w.Entry.Outcome, w.Entry.State, w.Entry.Error = workflow.StepFailed, nil, "out of tea"
	return w
}

// release gives a run back without an entry.
func release(fence persistence.Fence, state workflow.State, delay time.Duration) persistence.Advance {
	return persistence.Advance{Fence: fence, State: state, Step: "reserve", Delay: delay}
}

// after is the fence once a write with this one has landed and kept the run.
func after(fence persistence.Fence) persistence.Fence {
	fence.Seq++
	return fence
}

// run reads a run that must be there.
func (f *fixture) run(id workflow.RunID) workflow.Run {
	f.Helper()
	run, err := f.store.Run(f.Context(), id)
	if err != nil {
		f.Fatalf("read run %s: %v", id, err)
	}
	return run
}

// steps reads the history of a run that must be there.
func (f *fixture) steps(id workflow.RunID) []workflow.StepRun {
	f.Helper()
	steps, err := f.store.Steps(f.Context(), id)
	if err != nil {
		f.Fatalf("read steps of run %s: %v", id, err)
	}
	return steps
}

// wantState checks where a run stands.
func (f *fixture) wantState(id workflow.RunID, want workflow.State) {
	f.Helper()
	if got := f.run(id).State; got != want {
		f.Fatalf("run is %s, want %s", got, want)
	}
}

// reassign releases all that dead boots left.
func (f *fixture) reassign() persistence.Reassigned {
	f.Helper()
	done, err := f.store.Reassign(f.Context(), 100)
	if err != nil {
		f.Fatalf("reassign: %v", err)
	}
	return done
}

// ids are the runs of activations, in order.
func ids(activations []persistence.Activation) []workflow.RunID {
	var list []workflow.RunID
	for _, activation := range activations {
		list = append(list, activation.Run.ID)
	}
	return list
}

// fenceOf is what the one who was given an activation believes.
func fenceOf(boot persistence.BootID, activation persistence.Activation) persistence.Fence {
	return persistence.Fence{Run: activation.Run.ID, Boot: boot, Epoch: activation.Run.Epoch, Seq: activation.Seq}
}

// near reports whether got is want up to the precision of stores.
func near(got, want time.Time) bool { return got.Sub(want).Abs() <= time.Microsecond }
