package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) scheduleTrigger() *cobra.Command {
	return &cobra.Command{
		Use:   "trigger NAME",
		Short: "Start a run of a schedule now, and print it",
		Long:  "Start a run of a schedule now, beside those of its slots and whether it is paused or not, and print it.",
		Args:  arguments("NAME"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			id := workflow.NewRunID().String()
			response, err := node.schedules.TriggerSchedule(ctx, &messages.TriggerScheduleRequest{Name: args[0], RunId: id})
			if err != nil && answerLost(err) {
				return fmt.Errorf("run %s may have been started; `singularity run get %[1]s` tells: %[2]w", id, err)
			}
			if err != nil {
				return err
			}
			run, err := node.runs.GetRun(ctx, &messages.GetRunRequest{Id: response.GetRunId()})
			if err != nil {
				return fmt.Errorf("run %s is started; reading it: %w", response.GetRunId(), err)
			}
			return c.printRun(run.GetRun())
		}),
	}
}
