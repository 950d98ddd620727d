package singularity_test

import (
	"testing"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// Nobody stops the engine for it, and no run notices.
func TestEngineGoesOnWhileItsCheckpointsArePartitioned(t *testing.T) {
	t.Parallel()
	flow := workflow.New("flow", note("one"), note("two"), note("three"))
	url := testpostgres.URL(t)
	engine := open(t, singularity.Config{DatabaseURL: url}, flow)
	partitioned := make(chan error, 1)
	var runs []*workflow.Handle[tally]
	const atOnce, least, most = 20, 200, 20_000
	for changed := false; len(runs) < least || !changed; {
		if len(runs) == least/2 {
			go func() {
				_, _, err := postgres.Partition(t.Context(), url, patience)
				partitioned <- err
			}()
		}
		for range atOnce {
			run, err := flow.Start(t.Context(), engine, tally{})
			if err != nil {
				t.Fatalf("start: %v", err)
			}
			runs = append(runs, run)
		}
		select {
		case err := <-partitioned:
			if changed = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
		if len(runs) > most {
			t.Fatal("the checkpoints are not partitioned yet")
		}
	}
	for _, run := range runs {
		if out := wait(t, engine, run); len(out.Steps) != 3 {
			t.Errorf("run %s took the steps %v", run.ID(), out.Steps)
		}
		steps, err := engine.Steps(t.Context(), run.ID())
		if err != nil || len(steps) != 3 || steps[2].Attempt != 1 {
			t.Errorf("run %s has the history %+v, %v", run.ID(), steps, err)
		}
	}
}
