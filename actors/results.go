package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"singularity/centralcloud"
	"singularity/persistence"
	"singularity/workflow"
)

// results notes what a node has to tell the hub, so that it asks the store for
// nothing as long as there is nothing. It is safe for concurrent use; a nil one
// notes nothing.
type results struct {
	begun    atomic.Bool  // there is a hub to be told
	recorded atomic.Bool  // records were stored since they were read last
	orphaned atomic.Bool  // boots may have ended whose records, or the scores that they took, nobody counted
	rescored atomic.Bool  // scores were stored since they were counted last
	since    atomic.Int64 // when the first of what is not sent was noted, in Unix nanoseconds; 0 for nothing
	sentAt   atomic.Int64 // when something was sent last, likewise
	sent     atomic.Int64 // messages
	failures atomic.Int64

	mu     sync.Mutex
	jobs   centralcloud.Jobs
	some   bool // jobs
	period time.Time
}

// begin has results noted from now on.
func (r *results) begin() {
	r.mu.Lock()
	r.period = time.Now()
	r.mu.Unlock()
	r.orphaned.Store(true) // of processes before this one
	r.begun.Store(true)
}

// on reports whether there is a hub to be told.
func (r *results) on() bool { return r != nil && r.begun.Load() }

// landed hears of each write that the journal has stored.
func (r *results) landed(write persistence.Write) {
	if !r.on() {
		return
	}
	advance, ok := write.(persistence.Advance)
	if !ok || advance.Entry == nil {
		return
	}
	for _, fact := range advance.Entry.Facts {
		if fact.Kind == persistence.CountedKind {
			r.record()
			return
		}
	}
}

// record notes that the boot may have stored records.
func (r *results) record() {
	if !r.on() {
		return
	}
	r.note()
	r.recorded.Store(true)
}

// orphan notes that a boot has ended, and that its runs were released.
func (r *results) orphan() {
	if !r.on() {
		return
	}
	r.orphaned.Store(true)
}

// rescore notes that scores may have been stored.
func (r *results) rescore() {
	if r == nil {
		return
	}
	r.note()
	r.rescored.Store(true)
}

// ended notes a run that ended here, after it was here for a time.
func (r *results) ended(state workflow.State, elapsed time.Duration, summary *workflow.Summary) {
	if summary == nil || !r.on() {
		return
	}
	r.mu.Lock()
	r.jobs.Add(centralcloud.Job{
		Success: state == workflow.Completed, Elapsed: elapsed, CostCents: summary.CostCents, Tokens: summary.Tokens,
		Model: summary.Model, Patterns: summary.Patterns,
	})
	r.some = true
	r.mu.Unlock()
	r.note()
}

func (r *results) note() { r.since.CompareAndSwap(0, time.Now().UnixNano()) }

// pending reports whether there is anything to do.
func (r *results) pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.some || r.recorded.Load() || r.orphaned.Load() || r.rescored.Load()
}

// takenResults is what one message is to tell.
type takenResults struct {
	recorded, orphaned, rescored bool

	since  int64
	jobs   centralcloud.Jobs
	some   bool
	period time.Duration
}

// take takes what was noted, for whoever sends it. What is noted from now on is
// for the next time.
func (r *results) take() takenResults {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := takenResults{
		since: r.since.Swap(0), recorded: r.recorded.Swap(false), orphaned: r.orphaned.Swap(false), rescored: r.rescored.Swap(false),
		jobs: r.jobs, some: r.some, period: time.Since(r.period),
	}
	r.jobs, r.some, r.period = centralcloud.Jobs{}, false, time.Now()
	return taken
}

// giveBack notes again what could not be sent.
func (r *results) giveBack(taken takenResults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if taken.recorded {
		r.recorded.Store(true)
	}
	if taken.orphaned {
		r.orphaned.Store(true)
	}
	if taken.rescored {
		r.rescored.Store(true)
	}
	if taken.since != 0 {
		r.since.Store(taken.since)
	}
	r.jobs.Merge(taken.jobs)
	r.some = r.some || taken.some
	r.period = r.period.Add(-taken.period)
}
