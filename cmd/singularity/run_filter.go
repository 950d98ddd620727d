package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/workflow"
)

// pageSize is the most runs that a node lists, or changes, at once.
const pageSize = 1000

// runFilter is what flags say of the runs that are meant.
type runFilter struct {
	messages.ListRunsRequest
	since, until string
}

// names are those of the flags that select some of the runs.
func (f *runFilter) names() []string {
	return []string{"workflow", "state", "queue", "key", "tag", "schedule", "batch", "owner", "created-after", "created-before", "error"}
}

func (f *runFilter) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.Workflow, "workflow", "", "only runs of this workflow")
	flags.StringSliceVar(&f.States, "state", nil, "only runs in these states: "+stateNames())
	flags.StringVar(&f.Queue, "queue", "", "only runs in this queue")
	flags.StringVar(&f.Key, "key", "", "only runs with this key")
	flags.StringSliceVar(&f.Tags, "tag", nil, "only runs with this tag; may be given again, for runs with all of them")
	flags.StringVar(&f.Schedule, "schedule", "", "only runs that this schedule started")
	flags.StringVar(&f.Batch, "batch", "", "only runs that were started with this batch")
	flags.StringVar(&f.Owner, "owner", "", "only runs of this process")
	flags.StringVar(&f.since, "created-after", "", "only runs stored since then: a time as 2026-03-01T09:00:00Z, or how long ago as 24h")
	flags.StringVar(&f.until, "created-before", "", "only runs stored before then")
	flags.StringVar(&f.ErrorContains, "error", "", "only runs whose error contains this text, in whatever case its letters are")
}

// check reads what the flags hold as text.
func (f *runFilter) check() error {
	for _, state := range f.States {
		if !slices.Contains(workflow.States, workflow.State(state)) {
			return usagef("--state %q is not a state; expected one of %s", state, stateNames())
		}
	}
	var err error
	if f.CreatedAfter, err = pastTime("created-after", f.since); err != nil {
		return err
	}
	f.CreatedBefore, err = pastTime("created-before", f.until)
	return err
}

func stateNames() string {
	names := make([]string, len(workflow.States))
	for i, state := range workflow.States {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}

// pastTime is a time, or so long ago; nil for an empty text.
func pastTime(flag, text string) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return timestamppb.New(time.Now().Add(-age)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usagef("--%s: %q is no time; expected one as 2026-03-01T09:00:00Z, or how long ago as 24h", flag, text)
	}
	return timestamppb.New(at), nil
}
