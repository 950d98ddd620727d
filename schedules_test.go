package singularity_test

import (
	"context"
	"errors"
	"testing"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/workflow"
)

// ticking is a workflow that tells of each of its runs, and how it is scheduled.
func ticking() (flow workflow.Definition, schedules []workflow.ScheduleSpec, ticks chan workflow.RunID) {
	type tick struct{}
	ticks = make(chan workflow.RunID, 100)
	return workflow.New("tick", workflow.Do("tell", func(ctx context.Context, _ *tick) error {
		ticks <- workflow.FromContext(ctx).Run
		return nil
	})), []workflow.ScheduleSpec{{Name: "each-second", Workflow: "tick", Cron: "* * * * * *"}}, ticks
}

func TestSchedulesInCodeFire(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]singularity.Config{"memory": {}, "SQLite": {DataDir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow, schedules, ticks := ticking()
			cfg.Schedules = schedules
			engine := open(t, cfg, flow)
			for range 2 {
				run, err := engine.Run(t.Context(), <-ticks)
				if err != nil || run.Schedule != "each-second" || run.Slot == nil {
					t.Errorf("run %+v, %v; want one of a slot", run, err)
				}
			}
		})
	}
}

func TestEnginesThatPutTheSameScheduleShareItsSlots(t *testing.T) {
	t.Parallel()
	flow, schedules, ticks := ticking()
	cfg := singularity.Config{DatabaseURL: testpostgres.URL(t), Schedules: schedules}
	engine := open(t, cfg, flow)
	cfg.Instance = "another"
	other := open(t, cfg, flow)
	slots := map[int64]bool{}
	for range 4 {
		run, err := other.Run(t.Context(), <-ticks)
		if err != nil || slots[run.Slot.Unix()] {
			t.Fatalf("run %+v, %v; want one of another slot", run, err)
		}
		slots[run.Slot.Unix()] = true
	}
	if list, err := engine.Schedules(t.Context(), 2); err != nil || len(list) != 1 || len(list[0].Next) != 2 {
		t.Errorf("schedules %+v, %v; want one with two slots to come", list, err)
	}
}

func TestOpenRefusesScheduleThatCannotBe(t *testing.T) {
	t.Parallel()
	flow, _, _ := ticking()
	_, err := singularity.Open(t.Context(), singularity.Config{
		Schedules: []workflow.ScheduleSpec{{Name: "odd", Workflow: "tick", Cron: "every day"}},
	}, flow)
	invalid, ok := errors.AsType[*workflow.InputError](err)
	if !ok || invalid.Field != "cron" {
		t.Errorf("got %v, want an error that names cron", err)
	}
}
