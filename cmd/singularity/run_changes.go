package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"singularity/messages"
)

// usualChanges is how many runs are changed by one command that does not say how
// many it means.
const usualChanges = 1000

// runChanges is a command's change of the runs that its flags select.
type runChanges struct {
	runFilter
	verb   string // cancel or retry
	limit  int
	yes    bool
	dryRun bool
	// page changes, or counts, a page of them.
	page func(ctx context.Context, node *client, runs *messages.ListRunsRequest, dryRun bool) (*messages.RunChanges, error)
}

func (r *runChanges) register(flags *pflag.FlagSet) {
	r.runFilter.register(flags)
	flags.IntVar(&r.limit, "limit", 0, fmt.Sprintf("so many of the runs at most (default: all; more than %d want --yes)", usualChanges))
	flags.BoolVar(&r.yes, "yes", false, "however many runs there are")
	flags.BoolVar(&r.dryRun, "dry-run", false, "only count the runs")
}

// names are those of the flags that are for many runs.
func (r *runChanges) names() []string {
	return append(r.runFilter.names(), "limit", "yes", "dry-run")
}

// oneOrMany accepts the id of a run, or flags that select runs.
func (r *runChanges) oneOrMany(cmd *cobra.Command, args []string) error {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	switch selected := slices.ContainsFunc(r.runFilter.names(), given); {
	case len(args) == 0 && !selected:
		return fmt.Errorf("which? expected the ID of a run, or flags that select runs, as --state and --workflow")
	case len(args) == 0:
		return nil
	case slices.ContainsFunc(r.names(), given):
		return fmt.Errorf("expected the ID of a run or flags that select runs, got both")
	default:
		return runID(cmd, args)
	}
}

// changed is what became of the runs.
type changed struct {
	Matched int32     `json:"matched"`
	Changed int32     `json:"changed"`
	Refused []refusal `json:"refused"`
}

type refusal struct {
	Run   string `json:"run"`
	Error string `json:"error"`
}

func (c *cli) changeRuns(ctx context.Context, node *client, r *runChanges) error {
	if err := r.check(); err != nil {
		return err
	}
	if r.limit < 0 {
		return usagef("--limit %d is negative", r.limit)
	}
	if !r.dryRun && !r.yes && r.limit == 0 {
		counted, err := r.pages(ctx, node, usualChanges+1, true)
		if err != nil {
			return err
		}
		if counted.Matched > usualChanges {
			return usagef("more than %d runs would be changed; --yes changes them all, --limit so many of them, and --dry-run counts them", usualChanges)
		}
	}
	result, err := r.pages(ctx, node, r.limit, r.dryRun)
	if err != nil {
		if result.Changed > 0 {
			return fmt.Errorf("%d runs are changed, and then: %w", result.Changed, err)
		}
		return err
	}
	err = c.print(result, func(t *table) {
		t.row("MATCHED", result.Matched)
		if !r.dryRun {
			t.row("CHANGED", result.Changed)
			t.row("REFUSED", len(result.Refused))
		}
		for _, refused := range result.Refused {
			t.row(refused.Run, refused.Error)
		}
	})
	if err == nil && len(result.Refused) > 0 {
		err = fmt.Errorf("%s: %d of %d runs were refused", r.verb, len(result.Refused), result.Matched)
	}
	return err
}

// pages goes through up to limit runs, all of them if that is 0.
func (r *runChanges) pages(ctx context.Context, node *client, limit int, dryRun bool) (changed, error) {
	result := changed{Refused: []refusal{}}
	r.Before = ""
	for {
		r.Limit = pageSize
		if limit > 0 {
			r.Limit = min(pageSize, int32(limit)-result.Matched)
		}
		page, err := r.page(ctx, node, &r.ListRunsRequest, dryRun)
		if err != nil {
			return result, err
		}
		result.Matched += page.GetMatched()
		result.Changed += page.GetChanged()
		for _, refused := range page.GetRefused() {
			result.Refused = append(result.Refused, refusal{refused.GetId(), refused.GetError()})
		}
		r.Before = page.GetNext()
		if r.Before == "" || limit > 0 && int(result.Matched) >= limit {
			return result, nil
		}
	}
}
