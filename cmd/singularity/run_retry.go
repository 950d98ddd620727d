package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) runRetry() *cobra.Command {
	many := &runChanges{verb: "retry"}
	many.page = func(ctx context.Context, node *client, runs *messages.ListRunsRequest, dryRun bool) (*messages.RunChanges, error) {
		response, err := node.runs.RetryRuns(ctx, &messages.RetryRunsRequest{Runs: runs, DryRun: dryRun})
		return response.GetChanges(), err
	}
	command := &cobra.Command{
		Use:   "retry [ID]",
		Short: "Take up a run again, or all that flags select",
		Long: `Take up a failed, cancelled, quarantined or waiting run again, at the step where
it stands, with fresh attempts and without a deadline; or all that the flags select, by default those
that failed or are quarantined.`,
		Example: `  singularity run retry 01998d2e-7c1b-7e9a-a1f4-5b6c7d8e9f00
  singularity run retry --state failed --workflow llm_request --created-after 2h`,
		Args: many.oneOrMany,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			if len(args) == 0 {
				return c.changeRuns(ctx, node, many)
			}
			response, err := node.runs.RetryRun(ctx, &messages.RetryRunRequest{Id: args[0]})
			if err != nil {
				return err
			}
			return c.printRun(response.GetRun())
		}),
	}
	many.register(command.Flags())
	return command
}
