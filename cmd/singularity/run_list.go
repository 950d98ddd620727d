package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

// pageSize is the most runs that a node lists at once.
const pageSize = 1000

func (c *cli) runList() *cobra.Command {
	var (
		request = &messages.ListRunsRequest{}
		limit   int
	)
	command := &cobra.Command{
		Use:   "list",
		Short: "List runs, newest first",
		Args:  arguments(),
	}
	flags := command.Flags()
	flags.StringVar(&request.Workflow, "workflow", "", "only runs of this workflow")
	flags.StringSliceVar(&request.States, "state", nil, "only runs in these states: "+stateNames())
	flags.StringVar(&request.Queue, "queue", "", "only runs in this queue")
	flags.IntVar(&limit, "limit", 100, "how many runs")
	command.RunE = c.call(func(ctx context.Context, node *client, _ []string) error {
		for _, state := range request.GetStates() {
			if !slices.Contains(workflow.States, workflow.State(state)) {
				return usagef("--state %q is not a state; expected one of %s", state, stateNames())
			}
		}
		if limit < 1 {
			return usagef("--limit %d is not positive", limit)
		}
		found, err := listRuns(ctx, node, request, limit)
		if err != nil {
			return err
		}
		runs, err := runsOf(found)
		if err != nil {
			return err
		}
		return c.print(runs, func(t *table) {
			t.row("ID", "WORKFLOW", "STATE", "STEP", "ATTEMPT", "QUEUE", "CREATED", "ERROR")
			for _, run := range runs {
				t.row(run.ID, run.Workflow, run.State, run.Step, run.Attempt, run.Queue, run.CreatedAt, excerpt(run.Error))
			}
		})
	})
	return command
}

func stateNames() string {
	names := make([]string, len(workflow.States))
	for i, state := range workflow.States {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}

// listRuns lists up to limit runs, page by page.
func listRuns(ctx context.Context, node *client, request *messages.ListRunsRequest, limit int) ([]*messages.Run, error) {
	var found []*messages.Run
	for {
		page := min(limit-len(found), pageSize)
		request.Limit = int32(page)
		response, err := node.runs.ListRuns(ctx, request)
		if err != nil {
			return nil, err
		}
		found = append(found, response.GetRuns()...)
		if len(found) >= limit || len(response.GetRuns()) < page {
			return found, nil
		}
		request.Before = found[len(found)-1].GetId()
	}
}
