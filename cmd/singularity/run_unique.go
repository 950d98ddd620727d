package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/durationpb"

	"singularity/messages"
	"singularity/workflow"
)

// uniqueFlags say which earlier run a start gives way to.
type uniqueFlags struct {
	by         []string
	within     time.Duration
	onConflict string
}

func (u *uniqueFlags) register(flags *pflag.FlagSet) {
	flags.StringSliceVar(&u.by, "unique", nil, "give way to a run that was started with the same flag and has the same of all these: workflow, queue, key, input")
	flags.DurationVar(&u.within, "unique-for", 0, "with --unique: for so long after a run was stored, completed or not, as 1h (default: while it has not ended)")
	flags.StringVar(&u.onConflict, "on-conflict", "", fmt.Sprintf("with --unique, when there is a run: one of %v; replace cancels it if it has not begun (default attach)", workflow.OnConflicts))
}

// message is what the flags ask for; nil for nothing.
func (u *uniqueFlags) message() (*messages.Unique, error) {
	if len(u.by) == 0 {
		if u.within != 0 || u.onConflict != "" {
			return nil, usagef("--unique-for and --on-conflict need --unique, which says by what: workflow, queue, key, input")
		}
		return nil, nil
	}
	if _, err := workflow.ParseUniqueBy(u.by...); err != nil {
		return nil, usagef("--unique: %w", err)
	}
	if u.within < 0 {
		return nil, usagef("--unique-for: %s has passed; expected a time from now, as 1h", u.within)
	}
	if u.onConflict != "" && !slices.Contains(workflow.OnConflicts, workflow.OnConflict(u.onConflict)) {
		return nil, usagef("--on-conflict: %q is none of %v", u.onConflict, workflow.OnConflicts)
	}
	message := &messages.Unique{By: u.by, OnConflict: u.onConflict}
	if u.within > 0 {
		message.Within = durationpb.New(u.within)
	}
	return message, nil
}
