package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) runCancel() *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:   "cancel ID",
		Short: "End a run that has not ended",
		Args:  runID,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.runs.CancelRun(ctx, &messages.CancelRunRequest{Id: args[0], Reason: reason})
			if err != nil {
				return err
			}
			return c.printRun(response.GetRun())
		}),
	}
	command.Flags().StringVar(&reason, "reason", "", "why, for those who look at the run later")
	return command
}
