package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

func (c *cli) centralcloudSavings() *cobra.Command {
	var reader hubReader
	command := &cobra.Command{
		Use:   "savings [TASK_TYPE]",
		Short: "Show how much money the choice of models saves, and how to save more",
		Long: `Show how much money the choice of models has saved in the last six hours, at each task
type or at one: what the calls cost, and what they would have cost with the reference.
The last column is what the hub advises.`,
		Args: optional("TASK_TYPE"),
	}
	reader.register(command)
	command.RunE = c.act(func(ctx context.Context, args []string) error {
		saved := patterns.Savings{Tasks: []patterns.TaskSavings{}}
		document, err := reader.lesson(ctx, centralcloud.TypeCostOptimization)
		if document != nil && err == nil {
			saved, err = patterns.DecodeSavings(document)
		}
		if err != nil {
			return err
		}
		if len(args) == 1 {
			saved.Tasks = slices.DeleteFunc(saved.Tasks, func(s patterns.TaskSavings) bool { return s.TaskType != args[0] })
		}
		if !saved.MadeAt.IsZero() {
			fmt.Fprintf(c.stderr, "rule %d, as of %s; held against %s\n", saved.Rule, saved.MadeAt.Format(time.RFC3339), saved.Reference)
		}
		return c.print(saved, func(t *table) { writeSavings(t, saved, len(args) == 0) })
	})
	return command
}

func writeSavings(t *table, saved patterns.Savings, sum bool) {
	t.row("TASK TYPE", "CALLS", "CENTS", "WITH THE REFERENCE", "SAVED", "SHARE", "SUCCESS VS REFERENCE", "ADVICE")
	row := func(task string, m patterns.Money, success, advice string) {
		t.row(task, m.Calls, centsText(m.SpentCents), centsText(m.ReferenceCents), centsText(m.SavedCents), percentText(m.SavedShare), success, advice)
	}
	for _, s := range saved.Tasks {
		row(s.TaskType, s.Money, percentText(s.SuccessVsReference), s.Advice)
	}
	if sum {
		row(centralcloud.AnyTask, saved.Money, "", "")
	}
}
