package actors

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/workflow"
)

// everyTen is a schedule of flow whose slots are ten seconds apart.
func everyTen(name string) workflow.ScheduleSpec {
	return workflow.ScheduleSpec{Name: name, Workflow: "flow", Cron: "*/10 * * * * *"}
}

func putSchedule(t testing.TB, node *Node, spec workflow.ScheduleSpec) workflow.Schedule {
	t.Helper()
	schedule, err := node.PutSchedule(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return schedule
}

func scheduleNamed(t testing.TB, node *Node, name string) workflow.Schedule {
	t.Helper()
	list, err := node.Schedules(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, schedule := range list {
		if schedule.Name == name {
			return schedule
		}
	}
	t.Fatalf("there is no schedule %s in %+v", name, list)
	return workflow.Schedule{}
}

// scheduledRuns are those of a schedule, by slot. Each slot must have one.
func scheduledRuns(t testing.TB, node *Node, name string) map[time.Time]workflow.Run {
	t.Helper()
	page, err := node.Runs(t.Context(), workflow.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slots := map[time.Time]workflow.Run{}
	for _, run := range page.Runs {
		if run.Schedule != name || run.Slot == nil {
			continue
		}
		if _, again := slots[*run.Slot]; again {
			t.Errorf("slot %s has two runs", run.Slot)
		}
		slots[*run.Slot] = run
	}
	return slots
}

// wantSlots checks that slots, ten seconds apart, have their run each.
func wantSlots(t testing.TB, node *Node, name string, first time.Time, count int) map[time.Time]workflow.Run {
	t.Helper()
	runs := scheduledRuns(t, node, name)
	for i := range count {
		if _, there := runs[first.Add(time.Duration(i)*10*time.Second)]; !there {
			t.Errorf("slot %d of %d has no run", i, count)
		}
	}
	if len(runs) != count {
		t.Errorf("%d slots have runs, want %d", len(runs), count)
	}
	return runs
}

func TestEachSlotIsFiredOnceAndInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startCluster(t, 3, flow)
		made := putSchedule(t, c.nodes[0], everyTen("tick"))
		other := everyTen("tock")
		other.Cron = "@every 10s"
		putSchedule(t, c.nodes[1], other)
		time.Sleep(5*time.Minute + time.Second/2) // the last one, and its run
		for _, run := range wantSlots(t, c.nodes[2], "tick", *made.NextSlot, 30) {
			if run.State != workflow.Completed || run.StartedAt.Sub(*run.Slot) > 200*time.Millisecond {
				t.Errorf("the run of slot %s is %s and began at %s", run.Slot, run.State, run.StartedAt)
			}
		}
		if runs := scheduledRuns(t, c.nodes[2], "tock"); len(runs) != 30 {
			t.Errorf("%d slots of @every have runs, want 30", len(runs))
		}
		last := scheduleNamed(t, c.nodes[0], "tick")
		if last.LastRun != scheduledRuns(t, c.nodes[0], "tick")[*last.LastSlot].ID || last.LastError != "" {
			t.Errorf("schedule %+v does not name the run of its last slot", last)
		}
	})
}

func TestSlotOfANodeThatDiesInTheFiringIsFiredOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		commits bool
	}{{"before the commit", false}, {"after the commit", true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				flow := workflow.New("flow", add("one"))
				c := startCluster(t, 3, flow)
				var died atomic.Bool
				for i, l := range c.links {
					c.set(func() {
						l.firing = func(ctx context.Context, name string, decide persistence.Decide) (persistence.ScheduleView, bool, error) {
							if !died.CompareAndSwap(false, true) {
								return l.Store.FireSchedule(ctx, name, decide)
							}
							if test.commits {
								if _, _, err := l.Store.FireSchedule(ctx, name, decide); err != nil {
									t.Errorf("fire: %v", err)
								}
							}
							c.kill(i)
							return persistence.ScheduleView{}, false, errDown
						}
					})
				}
				made := putSchedule(t, c.nodes[0], everyTen("tick"))
				time.Sleep(time.Until(*made.NextSlot) + 65*time.Second)
				if !died.Load() {
					t.Fatal("no node died")
				}
				runs := wantSlots(t, c.nodes[0], "tick", *made.NextSlot, 7)
				if first := runs[*made.NextSlot]; first.State != workflow.Completed {
					t.Errorf("the run of the first slot is %s", first.State)
				}
			})
		})
	}
}

func TestSlotThatAnotherNodeHoldsIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 1, workflow.New("flow", add("one")))
		busy := 3
		c.set(func() {
			l := c.links[0]
			l.firing = func(ctx context.Context, name string, decide persistence.Decide) (persistence.ScheduleView, bool, error) {
				if busy--; busy >= 0 {
					return persistence.ScheduleView{}, false, nil
				}
				return l.Store.FireSchedule(ctx, name, decide)
			}
		})
		made := putSchedule(t, c.nodes[0], everyTen("tick"))
		time.Sleep(15 * time.Second)
		run := wantSlots(t, c.nodes[0], "tick", *made.NextSlot, 1)[*made.NextSlot]
		if late := run.CreatedAt.Sub(*made.NextSlot); late != 3*schedulesBusy {
			t.Errorf("it was fired %s late, want after three looks of %s", late, schedulesBusy)
		}
	})
}

func TestNodesWithoutSchedulesAskNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 2, workflow.New("flow", add("one")))
		time.Sleep(time.Hour)
		if asked := c.links[0].count("schedules"); asked != 1 {
			t.Errorf("the schedules were read %d times, want once, at the start", asked)
		}
		rare := everyTen("rare")
		rare.Cron = "0 0 1 1 *"
		putSchedule(t, c.nodes[0], rare)
		before := c.links[1].count("schedules")
		time.Sleep(time.Hour)
		if asked := c.links[1].count("schedules") - before; asked > 61 {
			t.Errorf("the schedules were read %d times in an hour, want about once a minute", asked)
		}
		if fired := c.links[1].count("fire schedule"); fired != 0 {
			t.Errorf("a slot months away was looked at %d times", fired)
		}
	})
}

func TestScheduleThatNobodyHeardOfIsFound(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startCluster(t, 1, flow)
		putSchedule(t, c.nodes[0], everyTen("tick"))
		now := time.Now()
		_, err := c.runs.ChangeSchedule(t.Context(), "late", func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
			next := now.Add(90 * time.Second).Truncate(time.Second)
			return persistence.ScheduleDecision{Schedule: &workflow.Schedule{ScheduleSpec: workflow.ScheduleSpec{
				Name: "late", Workflow: "flow", Cron: "0 0 1 1 *", Input: json.RawMessage("{}"), Queue: "default",
				CatchUp: workflow.CatchUpSkip, Overlap: workflow.OverlapAllow,
			}, NextSlot: &next, CreatedAt: view.Now}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if runs := scheduledRuns(t, c.nodes[0], "late"); len(runs) != 1 {
			t.Errorf("%d runs, want that of the slot that nobody told of", len(runs))
		}
	})
}

func TestMissedSlotsAreCaughtUpAsTheScheduleSays(t *testing.T) {
	t.Parallel()
	for policy, want := range map[workflow.CatchUp]int{workflow.CatchUpSkip: 0, workflow.CatchUpOne: 1, workflow.CatchUpAll: 3} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				store, flow := memory.New(), workflow.New("flow", add("one"))
				first := openNode(t, store, Config{}, flow)
				spec := everyTen("hourly")
				spec.Cron, spec.CatchUp = "0 * * * *", policy
				made := putSchedule(t, first, spec)
				stopNode(t, first)
				time.Sleep(time.Until(*made.NextSlot) + 2*time.Hour + 10*time.Minute)
				second := startNode(t, store, Config{}, flow)
				time.Sleep(time.Minute)
				if runs := scheduledRuns(t, second, "hourly"); len(runs) != want {
					t.Errorf("%d runs, want %d", len(runs), want)
				}
				after := scheduleNamed(t, second, "hourly")
				if !after.LastSlot.Equal(made.NextSlot.Add(2*time.Hour)) || !after.NextSlot.Equal(made.NextSlot.Add(3*time.Hour)) {
					t.Errorf("schedule %+v, want it to go on with the next hour", after)
				}
				if told := strings.Contains(after.LastError, "missed"); told != (policy == workflow.CatchUpSkip) {
					t.Errorf("last error %q", after.LastError)
				}
			})
		})
	}
}

func TestOverlappingSlotsAreSkippedIfTheScheduleSaysSo(t *testing.T) {
	t.Parallel()
	for overlap, want := range map[workflow.Overlap]int{workflow.OverlapSkip: 1, workflow.OverlapAllow: 4} {
		t.Run(string(overlap), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				slow := newGate(t, "slow")
				node := startNode(t, memory.New(), Config{}, workflow.New("flow", slow.step().Timeout(time.Hour)))
				spec := everyTen("tick")
				spec.Overlap = overlap
				made := putSchedule(t, node, spec)
				time.Sleep(time.Until(*made.NextSlot) + 35*time.Second)
				if runs := scheduledRuns(t, node, "tick"); len(runs) != want {
					t.Errorf("%d runs while the first goes on, want %d", len(runs), want)
				}
				told := scheduleNamed(t, node, "tick").LastError
				if overlap == workflow.OverlapSkip && !strings.Contains(told, "had not ended") {
					t.Errorf("last error %q does not say why the last slot has no run", told)
				}
				slow.open()
				time.Sleep(10 * time.Second)
				if after := scheduleNamed(t, node, "tick"); after.LastError != "" || len(scheduledRuns(t, node, "tick")) != want+1 {
					t.Errorf("schedule %+v, want that it fires again", after)
				}
			})
		})
	}
}

func TestPausedScheduleGoesOnFromWhenItIsResumed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startCluster(t, 2, flow)
		spec := everyTen("tick")
		spec.CatchUp = workflow.CatchUpAll
		made := putSchedule(t, c.nodes[0], spec)
		time.Sleep(time.Until(*made.NextSlot) + time.Second)
		paused, err := c.nodes[1].PauseSchedule(t.Context(), "tick", true)
		if err != nil || paused.PausedAt == nil || paused.NextSlot != nil {
			t.Fatalf("paused %+v, %v", paused, err)
		}
		if _, err := c.nodes[0].PutSchedule(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		wantSlots(t, c.nodes[0], "tick", *made.NextSlot, 1)
		resumed, err := c.nodes[0].PauseSchedule(t.Context(), "tick", false)
		if err != nil || resumed.PausedAt != nil || resumed.NextSlot == nil {
			t.Fatalf("resumed %+v, %v", resumed, err)
		}
		time.Sleep(15 * time.Second)
		runs := scheduledRuns(t, c.nodes[0], "tick")
		if _, there := runs[*resumed.NextSlot]; !there || len(runs) > 3 {
			t.Errorf("%d runs, want that of %s and none of the time before", len(runs), resumed.NextSlot)
		}
	})
}

func TestDeletedScheduleFiresNoMore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 2, workflow.New("flow", add("one")))
		putSchedule(t, c.nodes[0], everyTen("tick"))
		if err := c.nodes[1].DeleteSchedule(t.Context(), "tick"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if runs := scheduledRuns(t, c.nodes[0], "tick"); len(runs) != 0 {
			t.Errorf("%d runs", len(runs))
		}
		_, pauseErr := c.nodes[0].PauseSchedule(t.Context(), "tick", true)
		_, triggerErr := c.nodes[0].TriggerSchedule(t.Context(), "tick", workflow.RunID{})
		for _, err := range []error{c.nodes[0].DeleteSchedule(t.Context(), "tick"), pauseErr, triggerErr} {
			if !errors.Is(err, workflow.ErrScheduleNotFound) {
				t.Errorf("got %v, want %v", err, workflow.ErrScheduleNotFound)
			}
		}
	})
}

func TestTriggerStartsARunBesideTheSlots(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one")).Key(func(count) string { return "the same" })
		node := startNode(t, memory.New(), Config{}, flow)
		spec := everyTen("tick")
		spec.Cron, spec.Input = "0 0 1 1 *", json.RawMessage(`{"n":5}`)
		before := putSchedule(t, node, spec)
		for range 2 {
			pending, err := node.TriggerSchedule(t.Context(), "tick", workflow.RunID{})
			if err != nil {
				t.Fatal(err)
			}
			run, err := pending.Wait(t.Context())
			if err != nil || run.State != workflow.Completed || pending.Attached() {
				t.Fatalf("run %+v, %v, want one of its own that completes", run, err)
			}
			run = read(t, node, run.ID)
			if run.Schedule != "tick" || run.Slot != nil || run.Key != "" || !strings.Contains(string(run.Output), `"n":6`) {
				t.Errorf("run %+v, want one of the schedule without a slot, on its input", run)
			}
		}
		if after := scheduleNamed(t, node, "tick"); after.LastSlot != nil || !after.NextSlot.Equal(*before.NextSlot) {
			t.Errorf("after it the schedule is %+v, want it as before", after)
		}
	})
}

func TestNodeFiresOnlyWhatItKnows(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		c := startCluster(t, 1, flow)
		made := putSchedule(t, c.nodes[0], everyTen("tick"))
		stopNode(t, c.nodes[0])
		stranger := c.add(nil)
		time.Sleep(time.Until(*made.NextSlot) + 5*time.Second)
		if runs := scheduledRuns(t, stranger, "tick"); len(runs) != 0 {
			t.Fatalf("a node that does not know the workflow started %d runs", len(runs))
		}
		if err := stranger.Register(flow); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wantSlots(t, stranger, "tick", *made.NextSlot, 1)
	})
}

func TestInputThatIsRefusedWhenItFiresIsTold(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		store := memory.New()
		accept := func(refusal error) *workflow.Workflow[count, count] {
			return workflow.Define("flow", func(in count) (count, error) { return in, refusal }, func(s *count) count { return *s }, add("one"))
		}
		before := openNode(t, store, Config{}, accept(nil))
		made := putSchedule(t, before, everyTen("tick"))
		stopNode(t, before)
		after := startNode(t, store, Config{}, accept(workflow.Invalid("n", "is not what it was")))
		time.Sleep(time.Until(*made.NextSlot) + time.Second)
		told := scheduleNamed(t, after, "tick")
		if !strings.Contains(told.LastError, `"n" is not what it was`) || !told.LastSlot.Equal(*made.NextSlot) || len(scheduledRuns(t, after, "tick")) != 0 {
			t.Errorf("schedule %+v, want the workflow's refusal and no run", told)
		}
	})
}

func TestSchedulesGoOnWhenTheStoreIsBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		c := startCluster(t, 1, workflow.New("flow", add("one")))
		made := putSchedule(t, c.nodes[0], everyTen("tick"))
		c.set(func() { c.down = true })
		time.Sleep(time.Until(*made.NextSlot) + 5*time.Second)
		c.set(func() { c.down = false })
		time.Sleep(3 * time.Second)
		wantSlots(t, c.nodes[0], "tick", *made.NextSlot, 1)
	})
}

func TestScheduleActorComesBackAfterACrash(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{}, workflow.New("flow", add("one")))
		made := putSchedule(t, node, everyTen("tick"))
		node.system.Root.Send(node.pid("schedules"), slotsFired{views: []persistence.ScheduleView{{}}}) // a view of nothing
		time.Sleep(time.Until(*made.NextSlot) + time.Second)
		wantSlots(t, node, "tick", *made.NextSlot, 1)
	})
}

func TestScheduleFiresInAQueueThatAnOperatorMade(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{}, workflow.New("flow", add("one")))
		if _, err := node.SetQueue(t.Context(), "mail", workflow.QueueChange{NodeLimit: new(1)}); err != nil {
			t.Fatal(err)
		}
		spec := everyTen("tick")
		spec.Queue = "mail"
		made := putSchedule(t, node, spec)
		time.Sleep(time.Until(*made.NextSlot) + time.Second)
		wantSlots(t, node, "tick", *made.NextSlot, 1)
	})
}
