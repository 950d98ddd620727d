package remoting

import (
	"fmt"
	"time"
	"unicode/utf8"

	"singularity/messages"
)

// maxPayload is what a message may carry: messages between nodes name things,
// the database holds them.
const maxPayload = 512 << 10

// maxName is how long an id, a type, a target or a trace may be, in bytes.
const maxName = 512

// Message is something that one node says to another.
type Message struct {
	// ID names the message among all of its sender's boot, so that it can be
	// repeated without being acted on twice. Defaults to a fresh one.
	ID      string
	Type    string // as the target knows it
	Target  string // the actor it is for, such as run/<id>
	Payload []byte
	Epoch   int64  // the epoch in which the target is believed to live; 0 for any
	Trace   string // a W3C traceparent
}

// Reply is what a target answers.
type Reply struct {
	Type    string
	Payload []byte
}

// Delivery is a message that has arrived.
type Delivery struct {
	Message
	From Peer
}

func (m Message) validate(limit int) error {
	if len(m.Payload) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d may travel between nodes", ErrTooLarge, len(m.Payload), limit)
	}
	for _, name := range []struct{ what, value string }{
		{"id", m.ID}, {"type", m.Type}, {"target", m.Target}, {"trace", m.Trace},
	} {
		if len(name.value) > maxName || !utf8.ValidString(name.value) {
			return fmt.Errorf("%s %.40q of a message: expected at most %d bytes of UTF-8", name.what, name.value, maxName)
		}
	}
	return nil
}

func (m Message) envelope(from, to Peer, patience time.Duration) *messages.Envelope {
	return &messages.Envelope{
		Type:          m.Type,
		Payload:       m.Payload,
		MessageId:     m.ID,
		Epoch:         m.Epoch,
		SourceAddress: from.Address,
		SourceBoot:    from.Boot,
		TargetBoot:    to.Boot,
		Target:        m.Target,
		Trace:         m.Trace,
		TimeoutMs:     max(1, patience.Milliseconds()),
	}
}

func deliveryOf(e *messages.Envelope) Delivery {
	return Delivery{
		Message: Message{
			ID:      e.GetMessageId(),
			Type:    e.GetType(),
			Target:  e.GetTarget(),
			Payload: e.GetPayload(),
			Epoch:   e.GetEpoch(),
			Trace:   e.GetTrace(),
		},
		From: sourceOf(e),
	}
}

func sourceOf(e *messages.Envelope) Peer {
	return Peer{Address: e.GetSourceAddress(), Boot: e.GetSourceBoot()}
}

// replyTo is the envelope that answers e. Exactly one of reply and failure
// counts.
func replyTo(e *messages.Envelope, from Peer, reply Reply, failure *messages.EnvelopeError) *messages.Envelope {
	return &messages.Envelope{
		Type:          reply.Type,
		Payload:       reply.Payload,
		MessageId:     e.GetMessageId(),
		SourceAddress: from.Address,
		SourceBoot:    from.Boot,
		TargetBoot:    e.GetSourceBoot(),
		Trace:         e.GetTrace(),
		Reply:         true,
		Error:         failure,
	}
}
