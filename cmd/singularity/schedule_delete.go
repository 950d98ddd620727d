package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) scheduleDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "End a schedule; its runs go on",
		Args:  arguments("NAME"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			if _, err := node.schedules.DeleteSchedule(ctx, &messages.DeleteScheduleRequest{Name: args[0]}); err != nil {
				return err
			}
			ended := endedSchedule{args[0], "deleted"}
			return c.print(ended, func(t *table) {
				t.row("NAME", "STATUS")
				t.row(ended.Name, ended.Status)
			})
		}),
	}
}

// endedSchedule is one that is no more.
type endedSchedule struct {
	Name   string `json:"name"`
	Status string `json:"status"`
}
