package storetest

import (
	"errors"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var stateStories = []story{
	{name: "states/each write does to each state what it must and no more", tell: everyStateAndWrite},
	{name: "states/every state reads as itself", tell: everyStateReads},
}

// subject is a run in some state, and the fence of its last owner.
type subject struct {
	fence persistence.Fence
	alive persistence.BootID // a living boot, the last owner unless that died
}

// reach makes a run and brings it into a state.
func (f *fixture) reach(state workflow.State) subject {
	f.Helper()
	boot := f.join("a")
	insert := f.draft()
	insert.Queue = string(state)
	switch state {
	case workflow.Scheduled:
		insert.Due = f.now().Add(time.Hour)
		f.land(insert)
		return subject{persistence.Fence{Run: insert.Run, Boot: boot}, boot}
	case workflow.Available:
		f.land(insert)
		return subject{persistence.Fence{Run: insert.Run, Boot: boot}, boot}
	case workflow.Quarantined:
		f.land(insert)
		return subject{f.quarantine(insert.Run), boot}
	}
	insert.Owner = boot
	f.land(insert)
	fence := persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1}
	switch state {
	case workflow.Running:
		return subject{fence, boot}
	case workflow.Retryable, workflow.Waiting:
		f.land(release(fence, state, time.Hour))
	case workflow.Completed:
		f.land(completion(fence))
	case workflow.Failed:
		f.land(failure(fence))
	case workflow.Cancelled:
		f.land(persistence.Cancel{Run: fence.Run})
		return subject{fence, boot}
	}
	return subject{after(fence), boot}
}

// outcome is what a write does to a run: the state after it, by how much the
// epoch rises, and the error of its verdict.
type outcome struct {
	state  workflow.State
	epochs int64
	err    error
}

// same is the outcome of a write that changes nothing.
func same(err error) outcome { return outcome{"", 0, err} }

// transition is one way to change a run, and what it does to each state.
type transition struct {
	name   string
	change func(f *fixture, s subject) error
	want   func(workflow.State) outcome
}

func transitions() []transition {
	all := []transition{
		{"claim", func(f *fixture, s subject) error {
			claim := claimOf(s.alive, 10)
			claim.Queue = string(f.run(s.fence.Run).State)
			return f.try(claim).Err
		}, func(from workflow.State) outcome {
			if from == workflow.Available {
				return outcome{workflow.Running, 1, nil}
			}
			return same(nil)
		}},
		{"reactivate", func(f *fixture, s subject) error {
			return f.try(persistence.Reactivate{Run: s.fence.Run, Boot: s.fence.Boot}).Err
		}, func(from workflow.State) outcome {
			if from == workflow.Running {
				return outcome{workflow.Running, 1, nil}
			}
			return same(persistence.ErrFenced)
		}},
		{"cancel", func(f *fixture, s subject) error {
			return f.try(persistence.Cancel{Run: s.fence.Run}).Err
		}, func(from workflow.State) outcome {
			switch {
			case from == workflow.Cancelled:
				return same(nil)
			case from.Terminal():
				return same(workflow.ErrWrongState)
			default:
				return outcome{workflow.Cancelled, 1, nil}
			}
		}},
		{"retry", func(f *fixture, s subject) error {
			return f.try(persistence.Retry{Run: s.fence.Run}).Err
		}, func(from workflow.State) outcome {
			switch from {
			case workflow.Failed, workflow.Cancelled, workflow.Quarantined, workflow.Waiting:
				return outcome{workflow.Available, 1, nil}
			default:
				return same(workflow.ErrWrongState)
			}
		}},
		{"insert again", func(f *fixture, s subject) error {
			insert := f.draft()
			insert.Run, insert.Owner = s.fence.Run, s.alive
			return f.try(insert).Err
		}, func(workflow.State) outcome { return same(nil) }},
		{"reassign while the owner lives", func(f *fixture, _ subject) error {
			f.reassign()
			return nil
		}, func(workflow.State) outcome { return same(nil) }},
		{"reassign once the owner is gone", func(f *fixture, s subject) error {
			f.leave(s.fence.Boot)
			f.reassign()
			return nil
		}, func(from workflow.State) outcome {
			if from == workflow.Running {
				return outcome{workflow.Available, 1, nil}
			}
			return same(nil)
		}},
	}
	for _, shape := range shapes {
		to := shape.write(persistence.Fence{})
		all = append(all, transition{"owner's " + shape.name, func(f *fixture, s subject) error {
			return f.try(shape.write(s.fence)).Err
		}, func(from workflow.State) outcome {
			switch {
			case from != workflow.Running:
				return same(persistence.ErrFenced)
			case releases(to):
				return outcome{to.State, 1, nil}
			default:
				return outcome{to.State, 0, nil}
			}
		}})
	}
	return all
}

func everyStateAndWrite(f *fixture) {
	for _, from := range workflow.States {
		for _, transition := range transitions() {
			s := f.reach(from)
			before := f.run(s.fence.Run)
			err := transition.change(f, s)
			want := transition.want(from)
			if !errors.Is(err, want.err) {
				f.Errorf("%s of a %s run: %v, want %v", transition.name, from, err, want.err)
			}
			now := f.run(s.fence.Run)
			switch {
			case want.state == "":
				if !equalRuns(now, before) {
					f.Errorf("%s of a %s run changed it from %+v to %+v", transition.name, from, before, now)
				}
			case now.State != want.state || now.Epoch != before.Epoch+want.epochs:
				f.Errorf("%s of a %s run in epoch %d: %s in epoch %d, want %s, %d more",
					transition.name, from, before.Epoch, now.State, now.Epoch, want.state, want.epochs)
			case now.State.Terminal() != (now.FinishedAt != nil):
				f.Errorf("%s of a %s run: %s, finished at %v", transition.name, from, now.State, now.FinishedAt)
			case (now.State == workflow.Available || now.State == workflow.Cancelled) && now.Owner != "":
				f.Errorf("%s of a %s run: %s, owned by %s", transition.name, from, now.State, now.Owner)
			}
		}
	}
}

func everyStateReads(f *fixture) {
	for _, state := range workflow.States {
		f.wantState(f.reach(state).fence.Run, state)
	}
}
