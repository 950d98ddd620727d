package actors

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence/memory"
	"singularity/workflow"
)

func TestSchedulesThatCannotBeAreRefusedByTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		flow := workflow.New("flow", add("one"))
		passing := workflow.New("passing", add("one")).Durability(workflow.Ephemeral)
		node := startNode(t, memory.New(), Config{}, flow, passing)
		for _, test := range []struct {
			field string
			spoil func(*workflow.ScheduleSpec)
		}{
			{"name", func(s *workflow.ScheduleSpec) { s.Name = "no name" }},
			{"name", func(s *workflow.ScheduleSpec) { s.Name = "" }},
			{"cron", func(s *workflow.ScheduleSpec) { s.Cron = "61 * * * *" }},
			{"cron", func(s *workflow.ScheduleSpec) { s.Cron = "0 0 30 2 *" }},
			{"cron", func(s *workflow.ScheduleSpec) { s.Cron = "TZ=UTC * * * * *" }},
			{"time_zone", func(s *workflow.ScheduleSpec) { s.TimeZone = "Europe/Atlantis" }},
			{"queue", func(s *workflow.ScheduleSpec) { s.Queue = "nowhere" }},
			{"priority", func(s *workflow.ScheduleSpec) { s.Priority = 10 }},
			{"catch_up", func(s *workflow.ScheduleSpec) { s.CatchUp = "some" }},
			{"overlap", func(s *workflow.ScheduleSpec) { s.Overlap = "maybe" }},
			{"m", func(s *workflow.ScheduleSpec) { s.Input = json.RawMessage(`{"m":1}`) }},
			{"workflow", func(s *workflow.ScheduleSpec) { s.Workflow = "passing" }},
		} {
			spec := everyTen("tick")
			test.spoil(&spec)
			_, err := node.CreateSchedule(t.Context(), spec)
			invalid, ok := errors.AsType[*workflow.InputError](err)
			if !ok || invalid.Field != test.field {
				t.Errorf("%+v: %v, want an error that names %s", spec, err, test.field)
			}
		}
		spec := everyTen("tick")
		spec.Workflow = "unknown"
		if _, err := node.CreateSchedule(t.Context(), spec); !errors.Is(err, workflow.ErrUnknownWorkflow) {
			t.Errorf("got %v, want %v", err, workflow.ErrUnknownWorkflow)
		}
		if list, err := node.Schedules(t.Context(), 0); err != nil || len(list) != 0 {
			t.Errorf("schedules %+v, %v; want none", list, err)
		}
		if _, err := node.Schedules(t.Context(), 101); !isInput(err) {
			t.Errorf("101 next slots: %v", err)
		}
	})
}

func TestScheduleIsCreatedOnceAndPutAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		node := startNode(t, memory.New(), Config{}, workflow.New("flow", add("one")))
		spec := everyTen("tick")
		spec.Input = json.RawMessage(` { "n" : 1 } `)
		first, err := node.CreateSchedule(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if first.TimeZone != "UTC" || first.Queue != "default" || first.CatchUp != workflow.CatchUpSkip || first.Overlap != workflow.OverlapAllow {
			t.Errorf("schedule %+v, want the defaults", first)
		}
		time.Sleep(time.Second)
		if again, err := node.CreateSchedule(t.Context(), spec); err != nil || !again.UpdatedAt.Equal(first.UpdatedAt) {
			t.Errorf("created again it is %+v, %v; want the same", again, err)
		}
		spec.Cron = "0 0 * * *"
		if _, err := node.CreateSchedule(t.Context(), spec); !errors.Is(err, workflow.ErrScheduleExists) {
			t.Errorf("created with other settings: %v, want %v", err, workflow.ErrScheduleExists)
		}
		replaced, err := node.PutSchedule(t.Context(), spec)
		if err != nil || replaced.Cron != spec.Cron || !replaced.CreatedAt.Equal(first.CreatedAt) || !replaced.UpdatedAt.After(first.UpdatedAt) {
			t.Errorf("put with other settings it is %+v, %v", replaced, err)
		}
		synctest.Wait()
		if got := scheduleNamed(t, node, "tick"); len(got.Next) != 3 || !got.Next[0].Equal(*got.NextSlot) || got.Next[2].Sub(got.Next[0]) != 48*time.Hour {
			t.Errorf("next slots %v, want three days", got.Next)
		}
	})
}
