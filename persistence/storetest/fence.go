package storetest

import (
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

var fenceStories = []story{
	{name: "fence/another boot is refused", tell: fenceByOwner},
	{name: "fence/another epoch is refused", tell: fenceByEpoch},
	{name: "fence/another sequence is refused", tell: fenceBySeq},
	{name: "fence/a refused write leaves nothing behind", tell: fencedLeavesNothing},
	{name: "fence/each change of hands raises the epoch and fences the one before", tell: fenceByHands},
	{name: "fence/a write that landed lands again without effect", tell: landedAgain},
	{name: "fence/a write that landed is recognised after the run moved on", tell: landedLongAgo},
	{name: "fence/a batch that landed lands again without effect", tell: landedBatchAgain},
	{name: "fence/a boot that left may still write what nobody took from it", tell: fenceAfterLeave},
}

// shapes are the writes of an owner.
var shapes = []struct {
	name  string
	write func(persistence.Fence) persistence.Advance
}{
	{"checkpoint", func(fence persistence.Fence) persistence.Advance { return checkpoint(fence, "pay") }},
	{"failed attempt", func(fence persistence.Fence) persistence.Advance {
		w := failure(fence)
		w.State = workflow.Running
		return w
	}},
	{"completion", completion},
	{"failure", failure},
	{"failure without an entry", func(fence persistence.Fence) persistence.Advance {
		return release(fence, workflow.Failed, 0)
	}},
	{"hand-over", func(fence persistence.Fence) persistence.Advance {
		return release(fence, workflow.Available, 0)
	}},
	{"hand-over with a checkpoint", func(fence persistence.Fence) persistence.Advance {
		w := checkpoint(fence, "pay")
		w.State = workflow.Available
		return w
	}},
	{"backoff", func(fence persistence.Fence) persistence.Advance {
		return release(fence, workflow.Retryable, 0)
	}},
	{"wait", func(fence persistence.Fence) persistence.Advance {
		return release(fence, workflow.Waiting, 0)
	}},
}

// fenceWith checks that every shape of write is refused with a fence that the
// given change made wrong, and that it lands with the right one.
func fenceWith(f *fixture, spoil func(*persistence.Fence)) {
	boot := f.join("a")
	for _, shape := range shapes {
		fence := f.started(boot)
		f.land(checkpoint(fence, "reserve"))
		fence = after(fence)
		before := f.run(fence.Run)
		wrong := fence
		spoil(&wrong)
		if verdict := f.try(shape.write(wrong)); verdict.Err == nil {
			f.Errorf("%s with %+v landed on a run with %+v", shape.name, wrong, fence)
			continue
		}
		f.refuse(shape.write(wrong), persistence.ErrFenced)
		if now := f.run(fence.Run); !equalRuns(now, before) {
			f.Errorf("%s was refused and changed the run from %+v to %+v", shape.name, before, now)
		}
		f.land(shape.write(fence))
	}
}

func fenceByOwner(f *fixture) {
	other := f.join("b")
	fenceWith(f, func(fence *persistence.Fence) { fence.Boot = other })
}

func fenceByEpoch(f *fixture) {
	fenceWith(f, func(fence *persistence.Fence) { fence.Epoch-- })
	fenceWith(f, func(fence *persistence.Fence) { fence.Epoch++ })
}

func fenceBySeq(f *fixture) {
	fenceWith(f, func(fence *persistence.Fence) { fence.Seq++ })
	fenceWith(f, func(fence *persistence.Fence) { fence.Seq += 2 })

	// One below is the fence of the checkpoint that landed: only that very
	// write may land again.
	boot := f.join("a")
	fence := f.started(boot)
	f.land(release(fence, workflow.Available, 0))
	taken := f.take(boot, 1)
	stale := fenceOf(boot, taken[0])
	stale.Seq--
	for _, shape := range shapes {
		if verdict := f.try(shape.write(stale)); verdict.Err == nil {
			f.Errorf("%s with the sequence number before landed", shape.name)
		}
	}
}

func fencedLeavesNothing(f *fixture) {
	boot := f.join("a")
	if _, err := f.store.RegisterAgent(f.Context(), persistence.Agent{Name: "desk", Kind: persistence.AgentBuiltIn, Boot: boot}, false); err != nil {
		f.Fatalf("register agent: %v", err)
	}
	fence := f.started(boot)
	stale := fence
	stale.Epoch++
	w := completion(stale)
	w.Entry.Messages = []workflow.Message{{Agent: "desk", ID: "1", Payload: []byte(`{}`)}}
	w.Entry.Facts = []workflow.Fact{{Kind: "cost", Doc: []byte(`1`)}}
	w.Summary = &workflow.Summary{Model: "m"}
	f.refuse(w, persistence.ErrFenced)
	if steps := f.steps(fence.Run); len(steps) != 0 {
		f.Errorf("history %+v, want none", steps)
	}
	if messages := f.inbox("desk", 0, 10); len(messages) != 0 {
		f.Errorf("messages %+v, want none", messages)
	}
	if result, found := f.jobResult(fence.Run); found {
		f.Errorf("job result %+v, want none", result)
	}
}

func fenceByHands(f *fixture) {
	hands := []struct {
		name   string
		change func(fence persistence.Fence, boot persistence.BootID)
	}{
		{"release", func(fence persistence.Fence, _ persistence.BootID) {
			f.land(release(fence, workflow.Available, 0))
		}},
		{"reactivate", func(fence persistence.Fence, boot persistence.BootID) {
			f.land(persistence.Reactivate{Run: fence.Run, Boot: boot})
		}},
		{"cancel", func(fence persistence.Fence, _ persistence.BootID) {
			f.land(persistence.Cancel{Run: fence.Run})
		}},
		{"reassign", func(_ persistence.Fence, boot persistence.BootID) {
			f.leave(boot)
			f.reassign()
		}},
		{"release and claim", func(fence persistence.Fence, boot persistence.BootID) {
			f.land(release(fence, workflow.Available, 0))
			f.take(boot, 100)
		}},
	}
	for _, hand := range hands {
		boot := f.join("a")
		fence := f.started(boot)
		f.land(checkpoint(fence, "pay"))
		epoch := f.run(fence.Run).Epoch
		hand.change(after(fence), boot)
		if now := f.run(fence.Run).Epoch; now <= epoch {
			f.Errorf("%s: epoch %d after %d, want a higher one", hand.name, now, epoch)
		}
		// The owner before does not know that the run went on without it.
		late := after(fence)
		if hand.name == "release" || hand.name == "release and claim" {
			late = after(late)
		}
		if verdict := f.try(checkpoint(late, "ship")); verdict.Err == nil {
			f.Errorf("%s: a write of the owner before landed", hand.name)
		}
	}
}

func landedAgain(f *fixture) {
	boot := f.join("a")
	for _, shape := range shapes {
		fence := f.started(boot)
		w := shape.write(fence)
		f.land(w)
		before, history := f.run(fence.Run), len(f.steps(fence.Run))
		if verdict := f.try(w); verdict.Err != nil {
			f.Errorf("%s again: %v, want it recognised", shape.name, verdict.Err)
		}
		if now := f.run(fence.Run); !equalRuns(now, before) {
			f.Errorf("%s again changed the run from %+v to %+v", shape.name, before, now)
		}
		if now := len(f.steps(fence.Run)); now != history {
			f.Errorf("%s again: %d lines of history, want %d", shape.name, now, history)
		}
	}
}

func landedLongAgo(f *fixture) {
	boot, other := f.join("a"), f.join("b")
	for _, shape := range shapes {
		if !releases(shape.write(persistence.Fence{})) {
			continue
		}
		fence := f.started(boot)
		w := shape.write(fence)
		f.land(w)
		if w.State == workflow.Waiting {
			f.land(persistence.Retry{Run: fence.Run})
		}
		taken := f.take(other, 1)
		if len(taken) != 1 {
			f.Fatalf("%s: the run was not taken", shape.name)
		}
		f.land(checkpoint(fenceOf(other, taken[0]), "ship"))
		if verdict := f.try(w); verdict.Err != nil {
			f.Errorf("%s again: %v, want it recognised", shape.name, verdict.Err)
		}
		if run := f.run(fence.Run); run.Owner != "b" || run.Step != "ship" {
			f.Errorf("%s again changed the run: %+v", shape.name, run)
		}
	}
	fence := f.started(boot)
	w := checkpoint(fence, "pay")
	f.land(w)
	f.land(persistence.Cancel{Run: fence.Run})
	f.land(w)
	f.wantState(fence.Run, workflow.Cancelled)
}

func releases(w persistence.Advance) bool {
	return w.State == workflow.Available || w.State == workflow.Retryable || w.State == workflow.Waiting
}

func landedBatchAgain(f *fixture) {
	boot := f.join("a")
	first, second, third := f.started(boot), f.started(boot), f.keyed("k")
	batch := []persistence.Write{checkpoint(first, "pay"), completion(second), third, claimOf(boot, 3)}
	f.commit(batch...)
	before := fmt.Sprint(f.run(first.Run), f.run(second.Run), f.run(third.Run))
	for i, verdict := range f.commit(batch...) {
		if verdict.Err != nil {
			f.Errorf("%T again: %v", batch[i], verdict.Err)
		}
	}
	if now := fmt.Sprint(f.run(first.Run), f.run(second.Run), f.run(third.Run)); now != before {
		f.Errorf("the batch again changed the runs from\n%s to\n%s", before, now)
	}
}

func fenceAfterLeave(f *fixture) {
	boot := f.join("a")
	fence := f.started(boot)
	f.leave(boot)
	f.land(checkpoint(fence, "pay"))
	f.reassign()
	f.refuse(checkpoint(after(fence), "ship"), persistence.ErrFenced)
}
