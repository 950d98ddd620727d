package storetest

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

var scheduleStories = []story{
	{name: "schedules/are listed by name with all that was put", tell: schedulesListed},
	{name: "schedules/an error or nothing decided changes nothing", tell: scheduleLeftAlone},
	{name: "schedules/one that is deleted is gone", tell: scheduleDeleted},
	{name: "schedules/one that is not there does not fire", tell: scheduleNotThere},
	{name: "schedules/a firing starts its runs and moves the schedule", tell: scheduleFired},
	{name: "schedules/a slot has one run", tell: slotOnce},
	{name: "schedules/are busy until their last run has ended", tell: scheduleBusy},
	{name: "schedules/many that fire at once fire each slot once", tell: manyFire},
	{name: "schedules/many that make one at once make it once", tell: manyMake},
}

// draftSchedule is a schedule of the usual workflow, in the precision of stores.
func draftSchedule(name string) workflow.Schedule {
	made := time.Now().UTC().Truncate(time.Microsecond)
	next := made.Add(time.Hour)
	return workflow.Schedule{
		ScheduleSpec: workflow.ScheduleSpec{
			Name: name, Workflow: flow, Cron: "0 * * * *", TimeZone: "Europe/Berlin", Input: []byte(`{"item": "tea"}`),
			Queue: queue, Priority: 3, CatchUp: workflow.CatchUpOne, Overlap: workflow.OverlapSkip,
		},
		NextSlot: &next, CreatedAt: made, UpdatedAt: made,
	}
}

// put decides on a schedule, whatever is there.
func put(schedule workflow.Schedule) persistence.Decide {
	return func(persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		return persistence.ScheduleDecision{Schedule: &schedule}, nil
	}
}

func (f *fixture) schedule(name string) workflow.Schedule {
	f.Helper()
	schedule := draftSchedule(name)
	f.changeSchedule(name, put(schedule))
	return schedule
}

func (f *fixture) changeSchedule(name string, decide persistence.Decide) *workflow.Schedule {
	f.Helper()
	after, err := f.store.ChangeSchedule(f.Context(), name, decide)
	if err != nil {
		f.Fatalf("change schedule %s: %v", name, err)
	}
	return after
}

func (f *fixture) fire(name string, decide persistence.Decide) persistence.ScheduleView {
	f.Helper()
	after, done, err := f.store.FireSchedule(f.Context(), name, decide)
	if err != nil || !done {
		f.Fatalf("fire schedule %s: done %v, %v", name, done, err)
	}
	return after
}

func (f *fixture) wantSchedules(want ...workflow.Schedule) {
	f.Helper()
	got, _, err := f.store.Schedules(f.Context())
	if err != nil {
		f.Fatalf("list schedules: %v", err)
	}
	if !reflect.DeepEqual(got, want) {
		f.Errorf("schedules %+v, want %+v", got, want)
	}
}

// scheduled is a run of a slot.
func (f *fixture) scheduled(name string, slot time.Time) persistence.Insert {
	insert := f.draft()
	insert.Schedule, insert.Slot = name, slot
	return insert
}

func schedulesListed(f *fixture) {
	f.wantSchedules()
	b, a := f.schedule("b"), f.schedule("a")
	slot := b.CreatedAt.Add(-time.Minute)
	b.PausedAt, b.LastSlot, b.LastRun, b.LastError, b.NextSlot = &b.CreatedAt, &slot, f.draft().Run, "out of tea", nil
	b.Cron, b.TimeZone, b.Input, b.Queue, b.Priority = "@every 90s", "UTC", []byte(`{}`), "metrics", 9
	b.Workflow, b.CatchUp, b.Overlap = "count", workflow.CatchUpAll, workflow.OverlapAllow
	if after := f.changeSchedule("b", put(b)); !reflect.DeepEqual(*after, b) {
		f.Errorf("after the change it is %+v, want %+v", *after, b)
	}
	f.wantSchedules(a, b)
}

func scheduleLeftAlone(f *fixture) {
	schedule := f.schedule("a")
	refusal := errors.New("no")
	calls := 0
	_, err := f.store.ChangeSchedule(f.Context(), "a", func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		calls++
		if view.Schedule == nil || !reflect.DeepEqual(*view.Schedule, schedule) || view.Now.IsZero() {
			f.Errorf("view %+v, want %+v and a time", view, schedule)
		}
		return persistence.ScheduleDecision{Delete: true}, refusal
	})
	if !errors.Is(err, refusal) || calls != 1 {
		f.Errorf("got %v after %d calls, want %v", err, calls, refusal)
	}
	nothing := func(persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		return persistence.ScheduleDecision{}, nil
	}
	if after := f.changeSchedule("a", nothing); after == nil || !reflect.DeepEqual(*after, schedule) {
		f.Errorf("after nothing was decided it is %+v, want %+v", after, schedule)
	}
	if after := f.changeSchedule("b", nothing); after != nil {
		f.Errorf("what is not there is %+v", after)
	}
	f.wantSchedules(schedule)
}

func scheduleDeleted(f *fixture) {
	kept := f.schedule("a")
	f.schedule("b")
	for range 2 {
		after := f.changeSchedule("b", func(persistence.ScheduleView) (persistence.ScheduleDecision, error) {
			return persistence.ScheduleDecision{Delete: true}, nil
		})
		if after != nil {
			f.Errorf("after its end it is %+v", after)
		}
	}
	f.wantSchedules(kept)
}

func scheduleNotThere(f *fixture) {
	_, done, err := f.store.FireSchedule(f.Context(), "a", func(persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		f.Error("somebody was asked about it")
		return persistence.ScheduleDecision{}, nil
	})
	if done || err != nil {
		f.Errorf("done %v, %v", done, err)
	}
}

func scheduleFired(f *fixture) {
	schedule := f.schedule("a")
	slot := *schedule.NextSlot
	next := slot.Add(time.Hour)
	insert := f.scheduled("a", slot)
	insert.Version, insert.Priority = 1, 2
	schedule.LastSlot, schedule.NextSlot, schedule.LastRun = &slot, &next, insert.Run
	var now time.Time
	after := f.fire("a", func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		now = view.Now
		return persistence.ScheduleDecision{Schedule: &schedule, Runs: []persistence.Insert{insert}}, nil
	})
	if after.Schedule == nil || !reflect.DeepEqual(*after.Schedule, schedule) {
		f.Errorf("after the firing it is %+v, want %+v", after.Schedule, schedule)
	}
	f.wantSchedules(schedule)
	run := f.run(insert.Run)
	if run.State != workflow.Available || run.Schedule != "a" || run.Slot == nil || !run.Slot.Equal(slot) || run.Priority != 2 {
		f.Errorf("run %+v, want one of slot %s", run, slot)
	}
	if run.CreatedAt.Sub(now).Abs() > time.Second {
		f.Errorf("it was made at %s, and the store said that it was %s", run.CreatedAt, now)
	}
	if got := f.take(f.join("a"), 1); len(got) != 1 || string(got[0].Run.Input) != string(insert.Input) {
		f.Errorf("claimed %+v, want the run with its input", got)
	}
}

func slotOnce(f *fixture) {
	schedule := f.schedule("a")
	slot := schedule.NextSlot.Truncate(time.Second)
	first, again, other := f.scheduled("a", slot), f.scheduled("a", slot), f.scheduled("a", slot.Add(time.Second))
	elsewhere, triggered := f.scheduled("b", slot), f.scheduled("a", time.Time{})
	f.land(first)
	f.refuse(again, persistence.ErrSlotTaken)
	f.fire("a", func(persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		return persistence.ScheduleDecision{Runs: []persistence.Insert{again, other, elsewhere, triggered}}, nil
	})
	for _, insert := range []persistence.Insert{first, other, elsewhere, triggered} {
		f.wantState(insert.Run, workflow.Available)
	}
	if _, err := f.store.Run(f.Context(), again.Run); !errors.Is(err, workflow.ErrRunNotFound) {
		f.Errorf("the second run of a slot: %v, want none", err)
	}
}

func scheduleBusy(f *fixture) {
	schedule := f.schedule("a")
	busy := func() (busy bool) {
		f.fire("a", func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
			busy = view.Busy
			return persistence.ScheduleDecision{}, nil
		})
		return busy
	}
	if busy() {
		f.Error("a schedule without a run is busy")
	}
	fence := f.started(f.join("a"))
	schedule.LastRun = fence.Run
	f.changeSchedule("a", put(schedule))
	if !busy() {
		f.Error("a schedule whose run goes on is not busy")
	}
	f.land(completion(fence))
	if busy() {
		f.Error("a schedule whose run has ended is busy")
	}
}

// manyFire lets many fire a schedule whose slots are due one after the other.
func manyFire(f *fixture) {
	const workers, slots = 4, 25
	schedule := f.schedule("a")
	begin := schedule.NextSlot.Truncate(time.Second)
	schedule.NextSlot = &begin
	f.changeSchedule("a", put(schedule))
	end := begin.Add(slots * time.Second)
	var inserts [slots]persistence.Insert
	for i := range inserts {
		inserts[i] = f.scheduled("a", begin.Add(time.Duration(i)*time.Second))
	}
	deadline := time.Now().Add(f.config.Patience)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for over := false; !over && time.Now().Before(deadline); {
				_, _, err := f.store.FireSchedule(f.Context(), "a", func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
					fired := *view.Schedule
					slot := *fired.NextSlot
					if over = !slot.Before(end); over {
						return persistence.ScheduleDecision{}, nil
					}
					insert := inserts[slot.Sub(begin)/time.Second]
					insert.Run = workflow.NewRunID()
					next := slot.Add(time.Second)
					fired.LastSlot, fired.NextSlot, fired.LastRun = &slot, &next, insert.Run
					return persistence.ScheduleDecision{Schedule: &fired, Runs: []persistence.Insert{insert}}, nil
				})
				if err != nil {
					f.Errorf("fire: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	page, err := f.store.Runs(f.Context(), workflow.Filter{Limit: 1000})
	if err != nil {
		f.Fatalf("list runs: %v", err)
	}
	seen := map[time.Time]int{}
	for _, run := range page.Runs {
		seen[*run.Slot]++
	}
	if len(page.Runs) != slots || len(seen) != slots {
		f.Errorf("%d slots have %d runs of %d slots, want one each", slots, len(page.Runs), len(seen))
	}
}

func manyMake(f *fixture) {
	var made atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			fresh := false
			_, err := f.store.ChangeSchedule(f.Context(), "a", func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
				if fresh = view.Schedule == nil; !fresh {
					return persistence.ScheduleDecision{}, nil
				}
				schedule := draftSchedule("a")
				return persistence.ScheduleDecision{Schedule: &schedule}, nil
			})
			if err != nil {
				f.Errorf("make: %v", err)
			}
			if fresh {
				made.Add(1)
			}
		})
	}
	group.Wait()
	if made.Load() != 1 {
		f.Errorf("it was made %d times, want once", made.Load())
	}
}
