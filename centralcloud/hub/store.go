package hub

import (
	"context"
	"errors"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// Store is the database of hubs: the queues, and what hubs remember. What takes
// a [Lead] does nothing and returns an error that wraps [ErrNotLeading] once
// another one has begun. Times are of the clock of the database.
type Store interface {
	centralcloud.Queue
	Reader

	// Lead makes holder the leader for a term from now, or prolongs its lead.
	// Nobody else may have that name. Its error wraps [ErrNotLeading] while
	// somebody else has a lead.
	Lead(ctx context.Context, holder string, term time.Duration) (Lead, error)
	// Resign ends a lead before its term.
	Resign(ctx context.Context, lead Lead) error
	// Await returns nil once there may be something to do for a hub: a message has
	// come to [centralcloud.UpQueue], or a leader has resigned. It may return too
	// early. News of the last second before a call may be lost, and all from before
	// the first one. An error says that the store cannot tell, or that ctx has ended.
	// One goroutine at a time may call it.
	Await(ctx context.Context) error

	// Count deletes a message of [centralcloud.UpQueue] and keeps what it said:
	// each row and all repeats, unless as high a revision of them is there, and each
	// sample. It does all of that or nothing, and reports whether the message was
	// there.
	Count(ctx context.Context, lead Lead, message int64, report Report) (counted bool, err error)
	// Rows gives each row to a function. Those of hours belong to no instance, and
	// have the hour for their epoch.
	Rows(ctx context.Context, each func(centralcloud.Row) error) error
	// RowsBetween gives each row of an epoch from one time until before another to a
	// function.
	RowsBetween(ctx context.Context, from, until time.Time, each func(centralcloud.Row) error) error
	// SamplesBetween gives samples from one time until before another to a function,
	// in any order. Of more than so many, those are left out whose runs' ids end
	// with the highest digits, which is as good as by lot.
	SamplesBetween(ctx context.Context, from, until time.Time, most int, each func(centralcloud.Sample) error) error
	// RepeatsBetween gives the repeats of epochs from one time until before another to
	// a function.
	RepeatsBetween(ctx context.Context, from, until time.Time, each func(centralcloud.Repeats) error) error
	// Compact sums up the rows of a whole hour that begins before a time, and
	// returns how many there were; 0 when there is none to do.
	Compact(ctx context.Context, lead Lead, before time.Time) (rows int, err error)
	// Forget deletes sums of hours, samples, policies, withdrawn lessons and dead
	// letters from before a time, and policies that only repeated another one from
	// before a later time, which repeats are deleted by, too. The newest policy stays.
	Forget(ctx context.Context, lead Lead, before, repeatedBefore time.Time) error

	// DropInstance forgets an instance and drops its queue.
	DropInstance(ctx context.Context, lead Lead, instance Instance) error

	// Prices returns what SetPrices stored last.
	Prices(ctx context.Context) (learner.Prices, error)
	// SetPrices stores a table in the place of the one that was stored.
	SetPrices(ctx context.Context, lead Lead, prices learner.Prices) error

	// Publish stores a policy and sends it to queues, all or nothing. A queue that
	// is gone gets nothing.
	Publish(ctx context.Context, lead Lead, publication Publication) error
	// Teach stores lessons in the place of those of the same type and name, and
	// sends messages to queues, all or nothing. A queue that is gone gets nothing.
	Teach(ctx context.Context, lead Lead, lessons []centralcloud.Lesson, messages []centralcloud.Draft, queues []string) error
}

// Reader reads what leaders have made.
type Reader interface {
	// Policy returns the policy of a version, or the newest one for 0. In place of
	// one that repeated another and is forgotten it returns that. Its error wraps
	// [ErrNoPolicy] where there is none.
	Policy(ctx context.Context, version int64) (*centralcloud.Policy, error)
	// Lessons returns what was taught besides policies, the newest of each type and
	// name, in their order: also what was withdrawn.
	Lessons(ctx context.Context) ([]centralcloud.Lesson, error)
	// Instances lists those that reported.
	Instances(ctx context.Context) ([]Instance, error)
	// Leader says who leads, or led last.
	Leader(ctx context.Context) (Leader, error)
}

var (
	// ErrNotLeading: somebody else is the leader.
	ErrNotLeading = errors.New("another hub leads")
	// ErrNoPolicy: no policy has that version, or none was made yet.
	ErrNoPolicy = errors.New("there is no such policy")
)

// Lead is the right to write, while no other one has begun.
type Lead struct {
	Epoch int64     // rises with each leader
	At    time.Time // when it was given or prolonged
}

// Leader is who leads, or led last.
type Leader struct {
	Epoch       int64 // 0 when nobody ever did
	Holder      string
	ProlongedAt time.Time // when the lead was prolonged last, which each tick does
	Until       time.Time
	Now         time.Time
}

// Leads reports whether the lead holds.
func (l Leader) Leads() bool { return l.Epoch > 0 && !l.Until.Before(l.Now) }

// Publication is a policy for nodes.
type Publication struct {
	Policy   *centralcloud.Policy
	Repeats  bool                 // it has the choices of the version before it
	Messages []centralcloud.Draft // that carry it
	Queues   []string             // where they go
}

// Report is what a message said.
type Report struct {
	From    Instance
	Rows    []centralcloud.Row
	Samples []centralcloud.Sample
	Repeats []centralcloud.Repeats
}

// Instance is a node that reports.
type Instance struct {
	ID      string // its label
	Boot    string
	Queue   string    // that it reads
	HeardAt time.Time // when it sent its last message
	// TaughtAt is when a lesson was sent to its queue last. The store knows it; zero
	// for never.
	TaughtAt time.Time
}
