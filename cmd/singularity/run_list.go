package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

// mostLookedThrough is how many runs one command looks through before it asks to
// go on.
const mostLookedThrough = 1_000_000

func (c *cli) runList() *cobra.Command {
	var (
		filter = &runFilter{}
		before string
		limit  int
	)
	command := &cobra.Command{
		Use:   "list",
		Short: "List runs, newest first",
		Long: `List runs, newest first (by id). Where there are more, stderr says how the next
ones are listed.`,
		Example: `  singularity run list --state failed --workflow llm_request
  singularity run list --batch names --state failed
  singularity run list --error "rate limit" --created-after 24h`,
		Args: arguments(),
	}
	flags := command.Flags()
	filter.register(flags)
	flags.IntVar(&limit, "limit", 100, "how many runs")
	flags.StringVar(&before, "before", "", "only runs whose ids are before this one")
	command.RunE = c.call(func(ctx context.Context, node *client, _ []string) error {
		if err := filter.check(); err != nil {
			return err
		}
		if limit < 1 {
			return usagef("--limit %d is not positive", limit)
		}
		if before != "" {
			if _, err := workflow.ParseRunID(before); err != nil {
				return usagef("--before: %w", err)
			}
		}
		filter.Before = before
		found, err := listRuns(ctx, node, &filter.ListRunsRequest, limit)
		if err != nil {
			return err
		}
		runs, err := runsOf(found.runs)
		if err != nil {
			return err
		}
		if found.next != "" {
			fmt.Fprintln(c.stderr, found.more())
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

// listing is what was found, and where to go on.
type listing struct {
	runs   []*messages.Run
	looked int // runs that were looked through for pages that did not get full
	next   string
}

func (l listing) more() string {
	if l.looked >= mostLookedThrough {
		return fmt.Sprintf("looked through %d runs; the same command with --before %s goes on", l.looked, l.next)
	}
	return fmt.Sprintf("there may be more; the same command with --before %s lists them", l.next)
}

// listRuns lists up to limit runs, page by page.
func listRuns(ctx context.Context, node *client, request *messages.ListRunsRequest, limit int) (listing, error) {
	var found listing
	for {
		request.Limit = int32(min(limit-len(found.runs), pageSize))
		response, err := node.runs.ListRuns(ctx, request)
		if err != nil {
			return listing{}, err
		}
		found.runs = append(found.runs, response.GetRuns()...)
		found.looked += int(response.GetLookedThrough())
		found.next = response.GetNext()
		if len(found.runs) >= limit || found.next == "" || found.looked >= mostLookedThrough {
			return found, nil
		}
		request.Before = found.next
	}
}
