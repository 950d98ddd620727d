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

func TestBatchEndsWithOneRunOnEveryStore(t *testing.T) {
	t.Parallel()
	for name, configs := range map[string]func(*testing.T) []singularity.Config{
		"memory": func(*testing.T) []singularity.Config { return []singularity.Config{{}} },
		"sqlite": func(t *testing.T) []singularity.Config { return []singularity.Config{{DataDir: t.TempDir()}} },
		"postgres, three nodes": func(t *testing.T) []singularity.Config {
			url := testpostgres.URL(t)
			return []singularity.Config{
				{DatabaseURL: url, Instance: "a"}, {DatabaseURL: url, Instance: "b"}, {DatabaseURL: url, Instance: "c"},
			}
		},
	} {
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
			case <-time.After(time.Minute):
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
