package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) runRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID",
		Short: "Take up a failed, cancelled, quarantined or waiting run again",
		Long: `Take up a failed, cancelled, quarantined or waiting run again, at the step where
it stands and with fresh attempts.`,
		Args: runID,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.runs.RetryRun(ctx, &messages.RetryRunRequest{Id: args[0]})
			if err != nil {
				return err
			}
			return c.printRun(response.GetRun())
		}),
	}
}
