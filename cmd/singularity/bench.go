package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"singularity/internal/bench"
	"singularity/workflow"
)

func (c *cli) bench() *cobra.Command {
	var cfg bench.Config
	var durability string
	var queued int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this engine on a scratch database, or on Postgres",
		Long: `Measure this engine on a scratch database: what a step costs at each durability
level, with one run at a time and with many in flight, beside a bare commit of
one row on the same database. With --queued, measure instead what a long queue
costs: its rates and the peak memory, beside those of queues of 1,000 and 10,000
runs. With --database-url, measure on that Postgres database, where all that was
measured stays: give it a database of its own.`,
		Args: arguments(),
		RunE: c.act(func(ctx context.Context, _ []string) error {
			cfg.Version = thisBuild().Version
			if queued > 0 {
				return c.benchQueue(ctx, cfg, queued)
			}
			if durability != "" {
				level, err := parseDurability(durability)
				if err != nil {
					return err
				}
				cfg.Levels = []workflow.Durability{level}
			}
			return c.benchLevels(ctx, cfg)
		}),
	}
	flags := cmd.Flags()
	flags.IntVar(&cfg.Workflows, "workflows", 2000, "runs per row and round")
	flags.IntVar(&cfg.Steps, "steps", 4, "steps per run")
	flags.IntVar(&cfg.Concurrency, "concurrency", 256, "runs in flight where many are")
	flags.IntVar(&cfg.StateBytes, "state-bytes", 170, "size of a run's state as JSON")
	flags.IntVar(&cfg.Rounds, "rounds", 3, "how often each row is measured, in turn; the table shows medians")
	flags.StringVar(&durability, "durability", "", "only this level: checkpointed, restartable or ephemeral")
	flags.IntVar(&queued, "queued", 0, "fill and drain a queue of so many runs instead")
	flags.StringVar(&cfg.Dir, "data-dir", "", "where the scratch database is made, and removed (default: the temporary folder)")
	flags.StringVar(&cfg.DatabaseURL, "database-url", "", "a Postgres database to measure on instead, as postgres://user@host/name")
	return cmd
}

func parseDurability(name string) (workflow.Durability, error) {
	for _, level := range []workflow.Durability{workflow.Checkpointed, workflow.Restartable, workflow.Ephemeral} {
		if name == string(level) {
			return level, nil
		}
	}
	return "", workflow.Invalidf("durability", "is %q; expected checkpointed, restartable or ephemeral", name)
}

func (c *cli) benchLevels(ctx context.Context, cfg bench.Config) error {
	fmt.Fprintf(c.stderr, "measuring %d rounds on a scratch database …\n", cfg.Rounds)
	report, err := bench.Levels(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "%s; %d steps a run, %d bytes of state; medians of %d rounds of %d runs\n",
		report.Machine, report.Config.Steps, report.Config.StateBytes, report.Config.Rounds, report.Config.Workflows)
	return c.print(report, func(t *table) {
		t.row("DURABILITY", "IN FLIGHT", "STEP P50", "P95", "P99", "X COMMIT", "RUN P50", "P99", "RUNS/S", "STEPS/S", "COMMITS/RUN")
		for _, row := range report.Rows {
			t.row(row.Durability, row.InFlight,
				micros(row.Step.P50), micros(row.Step.P95), micros(row.Step.P99), fmt.Sprintf("%.2f", row.StepByFloor),
				micros(row.Run.P50), micros(row.Run.P99),
				fmt.Sprintf("%.0f", row.RunsPerSecond), fmt.Sprintf("%.0f", row.StepsPerSecond), fmt.Sprintf("%.2f", row.CommitsPerRun))
		}
		t.row("bare commit", 1, micros(report.Floor.P50), micros(report.Floor.P95), micros(report.Floor.P99), "1.00")
	})
}

func (c *cli) benchQueue(ctx context.Context, cfg bench.Config, runs int) error {
	report, err := bench.Queued(ctx, cfg, runs)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.stderr, report.Machine)
	return c.print(report, func(t *table) {
		t.row("QUEUED RUNS", "ENQUEUED/S", "DRAINED/S", "X FIRST", "LAST TENTH", "PEAK MEMORY", "X FIRST")
		for _, queue := range report.Queues {
			t.row(queue.Runs, fmt.Sprintf("%.0f", queue.EnqueuePerSecond),
				fmt.Sprintf("%.0f", queue.DrainPerSecond), fmt.Sprintf("%.2f", queue.DrainRatio), fmt.Sprintf("%.2f", queue.LastTenthRatio),
				fmt.Sprintf("%.1f MiB", queue.PeakMiB), fmt.Sprintf("%.2f", queue.PeakRatio))
		}
		for _, relation := range report.Queues[len(report.Queues)-1].Relations {
			t.row(relation.Name, fmt.Sprintf("%.1f MiB", relation.MiB),
				fmt.Sprintf("%d live", relation.LiveRows), fmt.Sprintf("%d dead", relation.DeadRows))
		}
	})
}

// micros writes microseconds with a unit that reads well.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2f s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.2f ms", us/1e3)
	default:
		return fmt.Sprintf("%.1f us", us)
	}
}
