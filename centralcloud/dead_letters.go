package centralcloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Consumer works on the messages of a queue and sees to those that cannot be
// worked on: they wait longer each time, and end in a queue of dead letters.
// The zero value of a field that has a default is that.
type Consumer struct {
	Receiver Receiver
	Queue    string
	// Dead is the queue of dead letters. Their headers are a [DeadLetter].
	Dead string
	// Lease is how long a whole batch has. Defaults to 30s.
	Lease time.Duration
	// Batch is how many messages a round reads at most. Defaults to 10.
	Batch int
	// Attempts is how often a message is worked on before it is dead. Defaults to
	// 5.
	Attempts int
}

func (c Consumer) withDefaults() Consumer {
	if c.Lease == 0 {
		c.Lease = 30 * time.Second
	}
	if c.Batch == 0 {
		c.Batch = 10
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	return c
}

// Round is what became of the messages that were read at once.
type Round struct {
	Done     int // and deleted
	Deferred int // failed, to come again
	Buried   int // dead
}

// Read is how many messages there were.
func (r Round) Read() int { return r.Done + r.Deferred + r.Buried }

// DeadLetter is the headers of a message that nobody could work on. Its body
// is the message's own.
type DeadLetter struct {
	From    string          `json:"from"` // a queue
	ID      int64           `json:"msg_id"`
	Reads   int             `json:"read_ct"`
	Error   string          `json:"error"`
	Headers json.RawMessage `json:"headers,omitempty"` // the message's own, unless they are too long
}

const (
	maxErrorText   = 4 << 10
	maxDeadHeaders = MaxBody / 2
)

// Round reads once and gives each message to work, in order. A message is
// deleted when work returns nil, which may have deleted it itself, within a
// transaction of its own. It is buried when the error wraps [ErrBadMessage], at
// the last attempt, and unseen when those that read it did not live to say what
// became of it. An error is one of the queue, or the end of ctx; what was not
// settled comes again when the lease ends.
func (c Consumer) Round(ctx context.Context, work func(context.Context, Message) error) (Round, error) {
	c = c.withDefaults()
	var round Round
	messages, err := c.Receiver.Read(ctx, c.Queue, c.Lease, c.Batch)
	if err != nil {
		return round, err
	}
	for _, message := range messages {
		if err := c.settle(ctx, &round, message, work); err != nil {
			return round, fmt.Errorf("settle message %d of queue %s: %w", message.ID, c.Queue, err)
		}
	}
	return round, nil
}

func (c Consumer) settle(ctx context.Context, round *Round, message Message, work func(context.Context, Message) error) error {
	if message.Reads > c.Attempts {
		return c.bury(ctx, round, message, fmt.Errorf("read %d times, and none of the readers lived to say what became of it", message.Reads-1))
	}
	err := work(ctx, message)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		round.Done++
		_, err := c.Receiver.Delete(ctx, c.Queue, message.ID)
		return err
	case errors.Is(err, ErrBadMessage) || message.Reads >= c.Attempts:
		return c.bury(ctx, round, message, err)
	default:
		round.Deferred++
		_, err := c.Receiver.SetVT(ctx, c.Queue, message.ID, Backoff(message.Reads))
		return err
	}
}

func (c Consumer) bury(ctx context.Context, round *Round, message Message, cause error) error {
	letter := DeadLetter{From: c.Queue, ID: message.ID, Reads: message.Reads, Error: storableText(cause.Error(), maxErrorText)}
	if len(message.Headers) <= maxDeadHeaders {
		letter.Headers = message.Headers
	}
	headers, err := json.Marshal(letter)
	if err != nil {
		return err
	}
	round.Buried++
	_, err = c.Receiver.Move(ctx, c.Queue, message, c.Dead, headers)
	return err
}

// storableText is the beginning of a text, in characters that every database
// stores.
func storableText(text string, length int) string {
	text = text[:min(len(text), length)]
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}
