package singularity_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/workflow"
)

func TestManyRunsAreStartedByOneCallOnEveryStore(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(*testing.T) singularity.Config{
		"memory":   func(*testing.T) singularity.Config { return singularity.Config{} },
		"sqlite":   func(t *testing.T) singularity.Config { return singularity.Config{DataDir: t.TempDir()} },
		"postgres": func(t *testing.T) singularity.Config { return singularity.Config{DatabaseURL: testpostgres.URL(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow := workflow.New("flow", note("one")).Key(func(t tally) string { return strings.Join(t.Steps, "") })
			engine := open(t, config(t), flow)
			inputs := []tally{{[]string{"a"}}, {}, {[]string{"b"}}, {}, {[]string{"a"}}}
			runs, err := flow.StartMany(t.Context(), engine, inputs, workflow.Options{Tags: []string{"bulk"}})
			if err != nil {
				t.Fatal(err)
			}
			for i, run := range runs {
				if out, want := wait(t, engine, run), append(slices.Clone(inputs[i].Steps), "one"); !slices.Equal(out.Steps, want) {
					t.Errorf("run %d gave %v, want %v", i, out.Steps, want)
				}
			}
			if runs[4].ID() != runs[0].ID() || !runs[4].Attached() || runs[3].ID() == runs[1].ID() {
				t.Error("want a key twice to be one run, and no key twice two")
			}

			conflict := []tally{{}, {[]string{"a", ""}}}
			_, err = flow.StartMany(t.Context(), engine, conflict, workflow.Options{})
			refusal, _ := errors.AsType[*workflow.StartError](err)
			if refusal == nil || refusal.Index != 1 {
				t.Errorf("got %v, want the second input refused", err)
			}
			if page, err := engine.Runs(t.Context(), workflow.Filter{Workflow: "flow"}); err != nil || len(page.Runs) != 4 {
				t.Errorf("there are %d runs (%v), want 4", len(page.Runs), err)
			}
		})
	}
}

// BenchmarkStartMany starts runs 10,000 at a time. An operation is one run, with
// 150 bytes of input. All of them wait for the one that is running.
func BenchmarkStartMany(b *testing.B) {
	for name, config := range map[string]func(*testing.B) singularity.Config{
		"sqlite":   func(b *testing.B) singularity.Config { return singularity.Config{DataDir: b.TempDir()} },
		"postgres": func(b *testing.B) singularity.Config { return singularity.Config{DatabaseURL: testpostgres.URL(b)} },
	} {
		for _, keyed := range []bool{false, true} {
			b.Run(name+map[bool]string{false: "/plain", true: "/keyed"}[keyed], func(b *testing.B) {
				benchmarkStartMany(b, config(b), keyed)
			})
		}
	}
}

func benchmarkStartMany(b *testing.B, cfg singularity.Config, keyed bool) {
	entered := make(chan struct{}, 1)
	flow := workflow.New("flow", workflow.Do("wait", func(ctx context.Context, _ *tally) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}).Timeout(time.Hour))
	if keyed {
		flow = flow.Key(func(t tally) string { return strings.Join(t.Steps, "") })
	}
	cfg.Logger, cfg.Queues = quiet, map[string]int{"default": 1}
	engine, err := singularity.Open(b.Context(), cfg, flow)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = engine.Close(now)
	}()
	if _, err := flow.Start(b.Context(), engine, tally{}); err != nil {
		b.Fatal(err)
	}
	<-entered
	inputs := make([]tally, min(b.N, workflow.MaxStarts))
	b.ResetTimer()
	for started := 0; started < b.N; started += len(inputs) {
		inputs = inputs[:min(len(inputs), b.N-started)]
		for i := range inputs {
			inputs[i].Steps = []string{strings.Repeat("x", 90), workflow.NewRunID().String()}
		}
		if _, err := flow.StartMany(b.Context(), engine, inputs, workflow.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
}
