package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"singularity/persistence/postgres"
)

// checkpointDay is a partition of the checkpoints.
type checkpointDay struct {
	Table string     `json:"table"`
	From  *time.Time `json:"from"` // null for all that came before
	Until time.Time  `json:"until"`
}

func (c *cli) migratePartition() *cobra.Command {
	var database databaseFlags
	var pause time.Duration
	command := &cobra.Command{
		Use:   "partition",
		Short: "Give the checkpoints of each day a table of their own, and list the days",
		Long: `Give the checkpoints of each day a table of their own, by the time in the ids of
runs: a partition of singularity.step_checkpoints. Retention then drops a day that
is over as soon as little of it is left, instead of deleting each row, and makes
the days to come. That pays where states are large or millions of runs a day come
and go; what is read is then looked for in one table more for each day that is kept.

What is there already becomes the first partition. It is looked through once, and
the checkpoints of all nodes wait meanwhile; if that takes longer than --pause,
nothing is changed. Repeated, the command makes the days that are missing.`,
		Args: arguments(),
	}
	database.register(command.Flags())
	command.Flags().DurationVar(&pause, "pause", 10*time.Second, "how long the checkpoints of all nodes may wait for it")
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		if err := database.check(); err != nil {
			return fmt.Errorf("%w; the embedded database is not partitioned", err)
		}
		if pause < time.Millisecond {
			return usagef("--pause: %s is too short; expected a duration such as 10s", pause)
		}
		days, changed, err := postgres.Partition(ctx, database.direct(), pause)
		if err != nil {
			return database.explain(err)
		}
		if !changed {
			fmt.Fprintln(c.stderr, "the checkpoints are partitioned already; "+comingDays(days))
		}
		return c.printDays(days)
	})
	return command
}

func (c *cli) printDays(days *postgres.Days) error {
	list := make([]checkpointDay, len(days.List))
	for i, day := range days.List {
		list[i] = checkpointDay{Table: day.Table, Until: day.Until}
		if !day.From.IsZero() {
			list[i].From = &day.From
		}
	}
	return c.print(list, func(t *table) {
		t.row("TABLE", "FROM", "UNTIL")
		for _, day := range list {
			t.row(day.Table, day.From, day.Until)
		}
	})
}

// comingDays says whether the days to come have their partitions.
func comingDays(days *postgres.Days) string {
	var missing []string
	for _, day := range days.Missing() {
		missing = append(missing, day.From.Format(time.DateOnly))
	}
	if len(missing) > 0 {
		return "there is no partition for " + strings.Join(missing, ", ")
	}
	return "the days to come have their partitions"
}

// tellDays says how the checkpoints are kept.
func tellDays(days *postgres.Days) string {
	if days == nil {
		return "the checkpoints are one table"
	}
	return "the checkpoints are partitioned by day; " + comingDays(days)
}
