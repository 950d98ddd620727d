package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) schedulePause() *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME",
		Short: "Keep a schedule from firing",
		Long:  "Keep a schedule from firing, until it is resumed. Slots that pass meanwhile are not caught up with.",
		Args:  arguments("NAME"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.schedules.PauseSchedule(ctx, &messages.PauseScheduleRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return c.printSchedule(response.GetSchedule())
		}),
	}
}
