package persistence

import (
	"context"
	"time"

	"singularity/workflow"
)

// Deadlines end the runs that wait when their time is over. Those that run are
// their owners' to end.
type Deadlines interface {
	// Expire fails up to limit runs whose deadline is over and that nobody runs: they
	// wait for a slot, whether or not their queue is paused, for their next attempt or
	// for a step. boot is on record as the one that ended them. Runs that somebody
	// changes at the same moment are left for the next time. It writes nothing when
	// there are none.
	Expire(ctx context.Context, boot BootID, limit int) (Overdue, error)
}

// Overdue is what [Deadlines.Expire] found.
type Overdue struct {
	Failed []workflow.Run // without their documents
	// Next is how long it takes, on the clock of the store, until the next deadline
	// is over of a run that has not ended; zero for none. It is a second at most when
	// runs may have been left for the next time.
	Next time.Duration
}

// OverdueError is the error text of a run that is failed at its deadline, and of
// whose last attempt this is the error.
func OverdueError(last string) string {
	if last == "" {
		return workflow.ErrOverdue.Error()
	}
	return workflow.ErrOverdue.Error() + ": " + last
}
