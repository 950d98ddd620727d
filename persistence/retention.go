package persistence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"singularity/workflow"
)

// RetentionWorkflow is the workflow of the system's own runs that prune. They
// are kept until the next one of them prunes: their age is zero, but they are
// nothing to begin for.
const RetentionWorkflow = "singularity.retention"

// Retention deletes what has been kept long enough.
type Retention interface {
	// Expired says whether there is anything to prune, and whether a run is at it
	// already. It reads next to nothing, however much is kept.
	Expired(ctx context.Context, policy RetentionPolicy) (Expiry, error)
	// Prune deletes up to limit runs that ended longer ago than their state's and
	// queue's age in policy, with all that belongs to them, and up to limit of each
	// of the rest. It spares the runs of a batch that has not ended; one that has
	// goes with the last of its runs. It writes nothing when there is nothing to
	// delete.
	Prune(ctx context.Context, policy RetentionPolicy, limit int) (Pruned, error)
}

// Pruned counts what was deleted.
type Pruned struct {
	Runs      int `json:"runs"`
	Messages  int `json:"messages"`  // of agents, that were done
	Boots     int `json:"boots"`     // that had ended
	Takeovers int `json:"takeovers"` // records of them
	// Days are those whose checkpoints were dropped as a whole, by a store that
	// keeps each day's apart.
	Days int `json:"days,omitempty"`
}

// Plus is what both deleted.
func (p Pruned) Plus(other Pruned) Pruned {
	return Pruned{
		p.Runs + other.Runs, p.Messages + other.Messages, p.Boots + other.Boots, p.Takeovers + other.Takeovers,
		p.Days + other.Days,
	}
}

// Most is how many of one kind there were at most.
func (p Pruned) Most() int { return max(p.Runs, p.Messages, p.Boots, p.Takeovers, p.Days) }

// RetentionPolicy says how long what has ended is kept.
type RetentionPolicy struct {
	// RetentionAges are those of runs. Messages that are done are kept as long as
	// completed runs, so that a repeated one is recognised; boots that ended, as
	// long as failed runs.
	RetentionAges
	// Queues have ages of their own; what is zero there is as elsewhere.
	Queues map[string]RetentionAges
	// Takeovers is for the records of takeovers. Defaults to 30 days.
	Takeovers time.Duration
}

// RetentionAges are how long runs are kept once they have ended.
type RetentionAges struct {
	// Completed defaults to 24h.
	Completed time.Duration
	// Cancelled defaults to the age of completed runs.
	Cancelled time.Duration
	// Failed defaults to 7 days.
	Failed time.Duration
	// Quarantined defaults to the age of failed runs.
	Quarantined time.Duration
}

// Of is the age of a state; zero for none.
func (a RetentionAges) Of(state workflow.State) time.Duration {
	switch state {
	case workflow.Completed:
		return a.Completed
	case workflow.Cancelled:
		return cmp.Or(a.Cancelled, a.Completed)
	case workflow.Failed:
		return a.Failed
	case workflow.Quarantined:
		return cmp.Or(a.Quarantined, a.Failed)
	default:
		return 0
	}
}

// Age is how long a run of a queue is kept once it has ended in a state, by a
// policy with defaults.
func (p RetentionPolicy) Age(state workflow.State, queue string) time.Duration {
	return cmp.Or(p.Queues[queue].Of(state), p.Of(state))
}

// Ages are those of all runs of a queue, by a policy with defaults.
func (p RetentionPolicy) Ages(queue string) map[workflow.State]time.Duration {
	ages := map[workflow.State]time.Duration{}
	for _, state := range workflow.States {
		if state.Terminal() {
			ages[state] = p.Age(state, queue)
		}
	}
	return ages
}

// Shortest is the smallest age of runs, by a policy with defaults.
func (p RetentionPolicy) Shortest() time.Duration {
	shortest := p.Completed
	for _, queue := range append(slices.Collect(maps.Keys(p.Queues)), "") {
		for _, age := range p.Ages(queue) {
			shortest = min(shortest, age)
		}
	}
	return shortest
}

// AtLeast is the policy with no age of runs below a bound.
func (p RetentionPolicy) AtLeast(bound time.Duration) RetentionPolicy {
	p.RetentionAges = p.atLeast(bound)
	queues := make(map[string]RetentionAges, len(p.Queues))
	for name, ages := range p.Queues {
		queues[name] = ages.atLeast(bound)
	}
	p.Queues = queues
	return p
}

func (a RetentionAges) atLeast(bound time.Duration) RetentionAges {
	for _, age := range []*time.Duration{&a.Completed, &a.Cancelled, &a.Failed, &a.Quarantined} {
		if *age != 0 { // which is as elsewhere
			*age = max(*age, bound)
		}
	}
	return a
}

// Validate names the ages that are negative.
func (p RetentionPolicy) Validate() error {
	errs := []error{p.validate("")}
	for _, queue := range slices.Sorted(maps.Keys(p.Queues)) {
		errs = append(errs, p.Queues[queue].validate(" in queue "+queue))
	}
	if p.Takeovers < 0 {
		errs = append(errs, fmt.Errorf("takeovers are kept for %s; expected a duration, or 0 for the default", p.Takeovers))
	}
	return errors.Join(errs...)
}

func (a RetentionAges) validate(where string) error {
	var errs []error
	for _, age := range []struct {
		state workflow.State
		age   time.Duration
	}{
		{workflow.Completed, a.Completed}, {workflow.Cancelled, a.Cancelled},
		{workflow.Failed, a.Failed}, {workflow.Quarantined, a.Quarantined},
	} {
		if age.age < 0 {
			errs = append(errs, fmt.Errorf("%s runs%s are kept for %s; expected a duration, or 0 for the default", age.state, where, age.age))
		}
	}
	return errors.Join(errs...)
}

// WithDefaults fills the zero fields.
func (p RetentionPolicy) WithDefaults() RetentionPolicy {
	p.Completed = cmp.Or(p.Completed, 24*time.Hour)
	p.Failed = cmp.Or(p.Failed, 7*24*time.Hour)
	p.Takeovers = cmp.Or(p.Takeovers, 30*24*time.Hour)
	return p
}
