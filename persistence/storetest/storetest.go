// Package storetest is the suite that every store passes. A store that passes
// it can carry the engine; the suite's own test shows that a store with any of
// a list of faults does not pass.
package storetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// Config tells the suite how to get at the stores under test.
type Config struct {
	// Open returns a store on a fresh database and sees to its end.
	Open func(t testing.TB) persistence.Store
	// About names the subjects of the stories to tell, as "retention". Nil for all.
	About []string
	// Ahead is by how much the clock of the stores is ahead of the test's.
	Ahead time.Duration
	// Patience is how long a story waits for what must happen. Defaults to a minute.
	Patience time.Duration
	// Reopen ends a store that Open returned and opens its database again, as a
	// node does that starts after a crash. Nil for stores that keep nothing.
	Reopen func(t testing.TB, store persistence.Store) persistence.Store
	// Declare makes a boot that the store takes to be alive dead, by the judge and
	// on the charge, which must be Lapsed. Nil for stores whose boots nobody
	// judges; others have FollowTakeover, too.
	Declare func(t testing.TB, store persistence.Store, judge persistence.BootID, charge persistence.Charge)
	// JobResult reads a run's row in job_results, if it has one.
	JobResult func(ctx context.Context, store persistence.Store, run workflow.RunID) (JobResult, bool, error)
}

// JobResult is a row of job_results.
type JobResult struct {
	Run         workflow.RunID
	Instance    string
	JobType     string
	Success     bool
	ErrorReason string
	Duration    time.Duration
	Summary     workflow.Summary
}

// Run runs the suite.
func Run(t *testing.T, config Config) {
	for _, story := range stories() {
		if subject, _, _ := strings.Cut(story.name, "/"); config.About != nil && !slices.Contains(config.About, subject) {
			continue
		}
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			if story.restarts && config.Reopen == nil {
				t.Skip("the store keeps nothing over a restart")
			}
			if story.judged && config.Declare == nil {
				t.Skip("nobody judges the boots of the store")
			}
			story.tell(setup(t, config))
		})
	}
}

// story is one behaviour of a store.
type story struct {
	name     string
	restarts bool // needs Config.Reopen
	judged   bool // needs Config.Declare
	tell     func(f *fixture)
}

func stories() []story {
	return slices.Concat(
		insertStories, keyStories, uniqueStories, contestStories, bulkStories, batchOfRunsStories, deadlineStories, claimStories, queueStories,
		limitedStories, turnStories,
		backlogStories, advanceStories, fenceStories,
		stateStories, controlStories, membershipStories, takeoverStories, agentStories, resultStories, tokenStories, budgetStories,
		scheduleStories, recordStories, scoreStories, learningStories, secretStories,
		readStories, retentionStories, batchStories, concurrencyStories, restartStories,
	)
}
