package hub

import (
	"context"
	"errors"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// Store is the database of hubs: the queues, and what hubs remember. What takes
// a [Lead] does nothing and returns an error that wraps [ErrNotLeading] when
// another one has begun since. Times are of the clock of the database.
type Store interface {
	centralcloud.Queue

	// Lead makes holder, which nobody else is called, the leader for a term from
	// now, or prolongs its lead. Its error wraps [ErrNotLeading] while somebody
	// else has a lead.
	Lead(ctx context.Context, holder string, term time.Duration) (Lead, error)
	// Resign ends a lead before its term.
	Resign(ctx context.Context, lead Lead) error

	// Count keeps the rows and the sender of an update, each row unless a
	// revision as high is there, and deletes the message, all or nothing. It
	// reports whether the message was there.
	Count(ctx context.Context, lead Lead, queue string, message int64, update centralcloud.Update) (counted bool, err error)
	// Rows gives each row to a function. Those that were compacted belong to no
	// instance, and their epoch is an hour.
	Rows(ctx context.Context, each func(centralcloud.Row) error) error
	// Compact sums up the rows of epochs before a time by the hour, and forgets
	// those of hours before another one. It returns how many rows it took.
	Compact(ctx context.Context, lead Lead, before, forget time.Time) (rows int, err error)

	// Instances lists those that sent updates.
	Instances(ctx context.Context) ([]Instance, error)
	// DropInstance forgets an instance, and drops its queue.
	DropInstance(ctx context.Context, lead Lead, instance Instance) error

	// Prices returns what SetPrices stored.
	Prices(ctx context.Context) (learner.Prices, error)
	// SetPrices stores all prices, in the place of those that were stored.
	SetPrices(ctx context.Context, lead Lead, prices learner.Prices) error

	// Publish stores a policy, which must have the next version, and sends it to
	// the queues of instances, all or nothing.
	Publish(ctx context.Context, lead Lead, policy centralcloud.Policy, to []Instance) error
	// Policy returns the policy of a version, or the newest one for 0, and
	// [ErrNoPolicy] where there is none.
	Policy(ctx context.Context, version int64) (centralcloud.Policy, error)
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

// Instance is a node that sends updates.
type Instance struct {
	ID      string // its label
	Queue   string // that it reads
	HeardAt time.Time
	Arms    []centralcloud.Arm // that it can call
	Version int64              // of the policy that it had, or that was sent to it since
}
