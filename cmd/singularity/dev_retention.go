package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// retainedFor is the value of --retain: for how long a node keeps what has
// ended, by state, or by queue and state.
type retainedFor struct {
	policy persistence.RetentionPolicy
	text   string
}

// String implements [pflag.Value].
func (r *retainedFor) String() string { return r.text }

// Type implements [pflag.Value].
func (r *retainedFor) Type() string { return "[queue/]state=age,..." }

// Set implements [pflag.Value].
func (r *retainedFor) Set(text string) error {
	policy := persistence.RetentionPolicy{Queues: map[string]persistence.RetentionAges{}}
	for entry := range strings.SplitSeq(text, ",") {
		name, written, _ := strings.Cut(entry, "=")
		queue, state, ofQueue := strings.Cut(name, "/")
		if !ofQueue {
			queue, state = "", name
		}
		ages := policy.RetentionAges
		if ofQueue {
			ages = policy.Queues[queue]
		}
		age, err := parseAge(written)
		field := ageOf(&ages, workflow.State(state))
		if err != nil || field == nil || ofQueue && !workflow.ValidName(queue) {
			return fmt.Errorf("%q is no age of runs that have ended; expected entries such as completed=24h, failed=30d or bills/failed=90d, "+
				"of completed, cancelled, failed and quarantined", entry)
		}
		*field = age
		if ofQueue {
			policy.Queues[queue] = ages
		} else {
			policy.RetentionAges = ages
		}
	}
	r.policy, r.text = policy, text
	return nil
}

// ageOf is the field of a state; nil for one in which runs do not end.
func ageOf(ages *persistence.RetentionAges, state workflow.State) *time.Duration {
	switch state {
	case workflow.Completed:
		return &ages.Completed
	case workflow.Cancelled:
		return &ages.Cancelled
	case workflow.Failed:
		return &ages.Failed
	case workflow.Quarantined:
		return &ages.Quarantined
	default:
		return nil
	}
}

// parseAge reads a duration, such as 90m, or days, such as 30d.
func parseAge(text string) (time.Duration, error) {
	const day, mostDays = 24 * time.Hour, 36_500
	if days, found := strings.CutSuffix(text, "d"); found {
		count, err := strconv.Atoi(days)
		if err != nil || count < 1 || count > mostDays {
			return 0, fmt.Errorf("%q is not a number of days, 1 to %d", text, mostDays)
		}
		return time.Duration(count) * day, nil
	}
	age, err := time.ParseDuration(text)
	if err == nil && age <= 0 {
		err = fmt.Errorf("%s is not positive", age)
	}
	return age, err
}
