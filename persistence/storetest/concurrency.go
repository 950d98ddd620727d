package storetest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var concurrencyStories = []story{
	{name: "concurrency/no commit of a run is lost, doubled or out of order", tell: manyAtOnce},
}

// landing is a commit of an owner that landed, as that owner was told.
type landing struct {
	seq   int64
	epoch int64
	boot  persistence.BootID
	state workflow.State
}

// ledger is what all owners were told.
type ledger struct {
	mu       sync.Mutex
	landings map[workflow.RunID][]landing
	fenced   int
}

func (l *ledger) add(run workflow.RunID, entry landing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.landings[run] = append(l.landings[run], entry)
}

// manyAtOnce lets boots that come and go work off runs while others cancel and
// retry them, and then compares what the owners were told with what is stored.
func manyAtOnce(f *fixture) {
	const workers, runs, last = 6, 60, 4
	book := &ledger{landings: map[workflow.RunID][]landing{}}
	var all []workflow.RunID
	for range runs {
		all = append(all, f.stored())
	}
	deadline := time.Now().Add(f.config.Patience)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for time.Now().Before(deadline) && f.workUntilLeaving(book, last) {
			}
		})
	}
	group.Go(func() {
		for range 30 {
			id := all[rand.IntN(len(all))]
			f.answered(f.store.Commit(f.Context(), []persistence.Write{persistence.Cancel{Run: id}}))
			f.answered(f.store.Commit(f.Context(), []persistence.Write{persistence.Retry{Run: id}}))
		}
	})
	group.Wait()
	if book.fenced == 0 {
		f.Errorf("no write was fenced: the story did not happen")
	}
	for _, id := range all {
		f.audit(id, book.landings[id])
	}
}

func (f *fixture) answered(_ []persistence.Verdict, err error) {
	if err != nil {
		f.Errorf("commit: %v", err)
	}
}

// workUntilLeaving is the life of one boot. It reports whether there is more
// to do for another one.
func (f *fixture) workUntilLeaving(book *ledger, last int64) bool {
	boot := persistence.BootID(workflow.NewRunID().String())
	if err := f.store.Join(f.Context(), persistence.Boot{ID: boot, Instance: string(boot)}); err != nil {
		f.Errorf("join: %v", err)
		return false
	}
	idle := 0
	for range 20 {
		claim := claimOf(boot, 3)
		claim.Solo = rand.IntN(4) == 0
		verdicts, err := f.store.Commit(f.Context(), []persistence.Write{claim})
		if err != nil || verdicts[0].Err != nil {
			f.Errorf("claim: %v, %+v", err, verdicts)
			return false
		}
		for _, activation := range verdicts[0].Activations {
			idle = 0
			f.workOn(boot, activation, book, last)
		}
		idle++
	}
	if err := f.store.Leave(f.Context(), boot); err != nil {
		f.Errorf("leave: %v", err)
	}
	if _, err := f.store.Reassign(f.Context(), 10); err != nil {
		f.Errorf("reassign: %v", err)
	}
	return idle < 20
}

// workOn takes steps of a run until it ends, is released or lost, or is left
// behind as by a crash.
func (f *fixture) workOn(boot persistence.BootID, activation persistence.Activation, book *ledger, last int64) {
	fence := fenceOf(boot, activation)
	for {
		w := checkpoint(fence, "reserve")
		switch dice := rand.IntN(20); {
		case fence.Seq >= last:
			w = completion(fence)
		case dice == 0:
			return // leaves it behind
		case dice <= 2:
			w.State = workflow.Available
		case dice <= 4:
			f.answered(f.store.Commit(f.Context(), []persistence.Write{persistence.Reactivate{Run: fence.Run, Boot: boot}}))
		}
		verdicts, err := f.store.Commit(f.Context(), []persistence.Write{w})
		if err != nil {
			f.Errorf("advance: %v", err)
			return
		}
		switch err := verdicts[0].Err; {
		case errors.Is(err, persistence.ErrFenced):
			book.mu.Lock()
			book.fenced++
			book.mu.Unlock()
			return
		case err != nil:
			f.Errorf("advance: %v", err)
			return
		}
		book.add(fence.Run, landing{fence.Seq + 1, fence.Epoch, boot, w.State})
		if w.State != workflow.Running {
			return
		}
		fence = after(fence)
	}
}

// audit compares what is stored of a run with what its owners were told.
func (f *fixture) audit(id workflow.RunID, told []landing) {
	f.Helper()
	run, steps := f.run(id), f.steps(id)
	if len(steps) != len(told) {
		f.Errorf("run %s: %d lines of history, its owners were told of %d", id, len(steps), len(told))
		return
	}
	bySeq := map[int64]landing{}
	for _, landing := range told {
		if _, twice := bySeq[landing.seq]; twice {
			f.Errorf("run %s: two owners landed commit %d", id, landing.seq)
		}
		bySeq[landing.seq] = landing
	}
	var epoch int64
	for i, step := range steps {
		landing, ok := bySeq[step.Seq]
		switch {
		case !ok || step.Seq != int64(i+1):
			f.Errorf("run %s: line %d has sequence %d, which nobody was told of", id, i, step.Seq)
		case step.Epoch != landing.epoch || step.Epoch < epoch || step.Epoch > run.Epoch:
			f.Errorf("run %s: commit %d in epoch %d after epoch %d, told %d, the run is in %d",
				id, step.Seq, step.Epoch, epoch, landing.epoch, run.Epoch)
		case landing.state == workflow.Completed && (run.State != workflow.Completed || i != len(steps)-1):
			f.Errorf("run %s: completed by commit %d, is %s after %d", id, step.Seq, run.State, len(steps))
		}
		epoch = step.Epoch
	}
}
