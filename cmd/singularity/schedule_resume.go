package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) scheduleResume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a paused schedule fire again",
		Long:  "Let a paused schedule fire again, from its next slot on.",
		Args:  arguments("NAME"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.schedules.ResumeSchedule(ctx, &messages.ResumeScheduleRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return c.printSchedule(response.GetSchedule())
		}),
	}
}
