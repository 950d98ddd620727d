package centralcloud

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Queue is message queues, each known by its name. Every call is one
// transaction, whose effect is durable when it returns. Both databases hold to
// the same terms, which package queuetest checks:
//
//   - Messages are read in the order of their ids, which are given as they are
//     sent. A message that is sent later may be readable earlier, so nobody may
//     take an id for a cursor.
//   - A message is read again once its lease has ended, before any with a higher
//     id. Nobody checks that who deletes a message still has the lease.
//   - Leases are kept in whole seconds; parts of one count as one.
//   - Documents are equal as JSON, and not by their bytes.
//
// The methods that name a queue return an error that wraps [ErrNoQueue] when
// there is none, and [ErrBadName] when there can be none.
type Queue interface {
	Sender
	Receiver

	// CreateQueue makes a queue and its archive. One that is there stays as it is.
	CreateQueue(ctx context.Context, queue string) error
	// DropQueue removes a queue with its messages and its archive, and reports
	// whether there was one.
	DropQueue(ctx context.Context, queue string) (dropped bool, err error)
	// PurgeQueue deletes all messages, leased ones too, and returns how many
	// there were. The archive stays, and ids go on.
	PurgeQueue(ctx context.Context, queue string) (purged int64, err error)
	// Queues lists the names of all queues, in order.
	Queues(ctx context.Context) ([]string, error)
	// QueueMetrics counts the messages of a queue, by looking at each of them.
	QueueMetrics(ctx context.Context, queue string) (QueueMetrics, error)
}

// Sender puts messages into queues.
type Sender interface {
	// Send adds a message and returns its id. An error that wraps
	// [ErrBadMessage] says that it never will.
	Send(ctx context.Context, queue string, message Draft) (id int64, err error)
	// SendBatch adds messages, all or none, and returns their ids, which rise in
	// the order of the messages. None is an empty list.
	SendBatch(ctx context.Context, queue string, messages []Draft) (ids []int64, err error)
}

// Receiver takes messages out of queues.
type Receiver interface {
	// Read leases the first messages that nobody has a lease of, so many at most,
	// and counts the reading. They come in the order of their ids.
	Read(ctx context.Context, queue string, lease time.Duration, limit int) ([]Message, error)
	// SetVT makes the lease of a message end after so long from now, at once for
	// zero or less. It reports whether the message is there.
	SetVT(ctx context.Context, queue string, id int64, after time.Duration) (found bool, err error)
	// Delete removes messages and returns the ids of those that were there, in
	// order.
	Delete(ctx context.Context, queue string, ids ...int64) (deleted []int64, err error)
	// Archive moves messages to the queue's archive, where they stay until
	// somebody deletes them by hand. It returns the ids of those that were there,
	// in order.
	Archive(ctx context.Context, queue string, ids ...int64) (archived []int64, err error)
	// Move deletes a message that was read and sends its body to another queue,
	// with other headers. It does nothing when the message is gone, and reports
	// that.
	Move(ctx context.Context, queue string, message Message, to string, headers json.RawMessage) (moved bool, err error)
}

// Draft is a message to be sent.
type Draft struct {
	Body    json.RawMessage
	Headers json.RawMessage // an object; nil for none
}

// Message is one that was read.
type Message struct {
	ID         int64
	Reads      int // this one included
	EnqueuedAt time.Time
	VisibleAt  time.Time // when its lease ends
	Body       json.RawMessage
	Headers    json.RawMessage // nil when it was sent without
}

// QueueMetrics is what is in a queue.
type QueueMetrics struct {
	Length  int64         // messages, leased ones too
	Visible int64         // those that nobody has a lease of
	Total   int64         // the last id that was given, 0 for none
	Newest  time.Duration // age of the newest message in whole seconds, 0 when there is none
	Oldest  time.Duration // age of the oldest message in whole seconds, 0 when there is none
}

// Limits of what a queue takes.
const (
	MaxQueueName = 47        // characters
	MaxBody      = 256 << 10 // bytes of a body or of headers
)

var (
	// ErrNoQueue: there is no queue of that name.
	ErrNoQueue = errors.New("there is no such queue")
	// ErrBadName: no queue can have that name.
	ErrBadName = errors.New("no name for a queue")
	// ErrBadMessage: no queue takes that message, or nobody can make sense of it.
	ErrBadMessage = errors.New("bad message")
)
