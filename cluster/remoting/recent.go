package remoting

import (
	"sync"

	"singularity/messages"
)

// recent remembers which messages are being acted on, and the latest replies.
type recent struct {
	maxReplies, maxBytes int

	mu      sync.Mutex
	replies map[messageKey]*messages.Envelope // nil for a message that is being acted on
	order   []messageKey                      // of the replies, the oldest first
	bytes   int                               // of the payloads of the replies
}

type messageKey struct{ boot, id string }

func keyOf(e *messages.Envelope) messageKey {
	return messageKey{e.GetSourceBoot(), e.GetMessageId()}
}

func newRecent(limits Limits) *recent {
	return &recent{
		maxReplies: limits.Remembered,
		maxBytes:   limits.RememberedBytes,
		replies:    map[messageKey]*messages.Envelope{},
	}
}

// begin reports whether a message is new, and is to be acted on. Otherwise it
// returns the reply, or nil when that is to come.
func (r *recent) begin(key messageKey) (reply *messages.Envelope, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reply, known := r.replies[key]
	if !known {
		r.replies[key] = nil
	}
	return reply, !known
}

// forget makes a message new again, since it was not acted on after all.
func (r *recent) forget(key messageKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.replies, key)
}

// finish keeps the reply to a message, and forgets the oldest ones for it.
func (r *recent) finish(key messageKey, reply *messages.Envelope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replies[key] = reply
	r.order = append(r.order, key)
	r.bytes += len(reply.GetPayload())
	for len(r.order) > r.maxReplies || r.bytes > r.maxBytes {
		oldest := r.order[0]
		r.bytes -= len(r.replies[oldest].GetPayload())
		delete(r.replies, oldest)
		r.order = r.order[1:]
	}
}
