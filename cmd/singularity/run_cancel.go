package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) runCancel() *cobra.Command {
	var reason string
	many := &runChanges{verb: "cancel"}
	many.page = func(ctx context.Context, node *client, runs *messages.ListRunsRequest, dryRun bool) (*messages.RunChanges, error) {
		response, err := node.runs.CancelRuns(ctx, &messages.CancelRunsRequest{Runs: runs, Reason: reason, DryRun: dryRun})
		return response.GetChanges(), err
	}
	command := &cobra.Command{
		Use:   "cancel [ID]",
		Short: "End a run that has not ended, or all that flags select",
		Example: `  singularity run cancel 01998d2e-7c1b-7e9a-a1f4-5b6c7d8e9f00 --reason "sent by hand"
  singularity run cancel --workflow reminder --state scheduled --dry-run`,
		Args: many.oneOrMany,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			if len(args) == 0 {
				return c.changeRuns(ctx, node, many)
			}
			response, err := node.runs.CancelRun(ctx, &messages.CancelRunRequest{Id: args[0], Reason: reason})
			if err != nil {
				return err
			}
			return c.printRun(response.GetRun())
		}),
	}
	many.register(command.Flags())
	command.Flags().StringVar(&reason, "reason", "", "why, for those who look at the run later")
	return command
}
