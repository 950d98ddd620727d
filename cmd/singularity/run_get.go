package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) runGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show a run with its input and output",
		Args:  runID,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.runs.GetRun(ctx, &messages.GetRunRequest{Id: args[0]})
			if err != nil {
				return err
			}
			return c.printRun(response.GetRun())
		}),
	}
}

// printRun prints one run.
func (c *cli) printRun(message *messages.Run) error {
	run, err := runOf(message)
	if err != nil {
		return err
	}
	return c.print(run, func(t *table) {
		t.row("ID", run.ID)
		t.row("WORKFLOW", fmt.Sprintf("%s (version %d)", run.Workflow, run.Version))
		t.row("STATE", run.State)
		t.row("QUEUE", fmt.Sprintf("%s (priority %d)", run.Queue, run.Priority))
		t.optional("KEY", run.Key)
		t.optional("STEP", run.Step)
		if run.Attempt > 0 {
			t.row("FAILED ATTEMPTS", run.Attempt)
		}
		if run.Crashes > 0 {
			t.row("CRASHES", run.Crashes)
		}
		t.optional("OWNER", run.Owner)
		if run.State == workflow.Waiting {
			t.optional("WAITS FOR", run.Reason)
		} else {
			t.optional("REASON", run.Reason)
		}
		if run.Slot != nil {
			t.row("SCHEDULE", fmt.Sprintf("%s (slot %s)", run.Schedule, cell(run.Slot)))
		} else {
			t.optional("SCHEDULE", run.Schedule)
		}
		t.optional("CREATED", cell(run.CreatedAt))
		t.optional("STARTED", cell(run.StartedAt))
		t.optional("FINISHED", cell(run.FinishedAt))
		t.optional("ERROR", run.Error)
		t.optional("INPUT", string(run.Input))
		t.optional("OUTPUT", string(run.Output))
	})
}
