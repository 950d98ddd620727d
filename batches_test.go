package singularity_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/workflow"
)

// everyStore makes the configurations of engines on one store, by its name.
var everyStore = map[string]func(*testing.T) []singularity.Config{
	"memory": func(*testing.T) []singularity.Config { return []singularity.Config{{}} },
	"sqlite": func(t *testing.T) []singularity.Config { return []singularity.Config{{DataDir: t.TempDir()}} },
	"postgres, three nodes": func(t *testing.T) []singularity.Config {
		url := testpostgres.URL(t)
		return []singularity.Config{
			{DatabaseURL: url, Instance: "a"}, {DatabaseURL: url, Instance: "b"}, {DatabaseURL: url, Instance: "c"},
		}
	},
}

func TestBatchEndsWithOneRunOnEveryStore(t *testing.T) {
	t.Parallel()
	for name, configs := range everyStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends := make(chan workflow.BatchEnd, 10)
			report := workflow.New("report", workflow.Do("tell", func(_ context.Context, end *workflow.BatchEnd) error {
				ends <- *end
				return nil
			}))
			picky := workflow.New("picky", workflow.Do("pick", func(_ context.Context, s *tally) error {
				if len(s.Steps) > 0 {
					return workflow.Permanent(errors.New("not this one"))
				}
				return nil
			}))
			var engine *singularity.Engine
			for _, config := range configs(t) {
				engine = open(t, config, report, picky)
			}
			const pages, size = 4, 25
			for page := range pages {
				inputs := make([]tally, size)
				inputs[page].Steps = []string{"bad"}
				batch := workflow.Batch{ID: "import-7", OnEnd: "report", Last: page == pages-1}
				options := workflow.Options{ID: workflow.NewRunID()}
				for range 2 { // a page may be repeated
					if _, err := picky.StartBatch(t.Context(), engine, batch, inputs, options); err != nil {
						t.Fatal(err)
					}
				}
			}
			want := workflow.BatchEnd{Batch: "import-7", Total: pages * size, Completed: pages * (size - 1), Failed: pages}
			select {
			case got := <-ends:
				if got != want {
					t.Errorf("the batch ended with %+v, want %+v", got, want)
				}
			case <-time.After(patience):
				t.Fatal("the batch did not end")
			}
			runs, err := engine.Runs(t.Context(), workflow.Filter{Workflow: "report"})
			if err != nil || len(runs.Runs) != 1 {
				t.Errorf("%d runs of report (%v), want one", len(runs.Runs), err)
			}
			_, err = picky.StartBatch(t.Context(), engine, workflow.Batch{ID: "import-7", OnEnd: "report"}, make([]tally, 1), workflow.Options{})
			if refusal, _ := errors.AsType[*workflow.InputError](err); refusal == nil || refusal.Field != "batch" {
				t.Errorf("one more run: %v, want the batch refused", err)
			}
		})
	}
}

func TestBatchThatWasLeftOpenEndsWhenItIsClosed(t *testing.T) {
	t.Parallel()
	for name, configs := range everyStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			report := workflow.New("report", workflow.Do("tell", func(context.Context, *workflow.BatchEnd) error {
				close(ended)
				return nil
			}))
			flow := workflow.New("flow", workflow.Do("one", func(context.Context, *tally) error { return nil }))
			var engine *singularity.Engine
			for _, config := range configs(t) {
				engine = open(t, config, report, flow)
			}
			runs, err := flow.StartBatch(t.Context(), engine, workflow.Batch{ID: "left", OnEnd: "report"}, make([]tally, 2), workflow.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, run := range runs {
				if _, err := run.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			open, err := engine.Batch(t.Context(), "left")
			if err != nil || open.ClosedAt != nil || open.EndedAt != nil || open.Total != 2 || open.States[workflow.Completed] != 2 {
				t.Errorf("the batch is %+v (%v), want it open with two completed runs", open, err)
			}
			for _, want := range []bool{true, false} {
				if batch, changed, err := engine.CloseBatch(t.Context(), "left"); err != nil || changed != want || batch.ClosedAt == nil {
					t.Errorf("closing it: %+v, changed %t, %v; want %t", batch, changed, err, want)
				}
			}
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the batch did not end")
			}
			if batch, err := engine.Batch(t.Context(), "left"); err != nil || batch.EndedAt == nil || batch.OnEndRun.IsZero() {
				t.Errorf("the batch is %+v (%v), want it ended with a run", batch, err)
			}
			if page, err := engine.Runs(t.Context(), workflow.Filter{Batch: "left"}); err != nil || len(page.Runs) != 2 {
				t.Errorf("%d runs are listed (%v), want the two of the batch", len(page.Runs), err)
			}
			if _, _, err := engine.CloseBatch(t.Context(), "right"); !errors.Is(err, workflow.ErrBatchNotFound) {
				t.Errorf("closing another: %v, want %v", err, workflow.ErrBatchNotFound)
			}
		})
	}
}
