package remoting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"singularity/messages"
)

// send puts an envelope on its way; done learns once how it ended. The weight
// of the envelope was taken from the window, and is given back by send if it
// fails.
func (l *link) send(e *messages.Envelope, done func(*messages.Envelope, error)) (*outgoing, error) {
	weight := weightOf(e)
	o := &outgoing{envelope: e, done: done, release: func() { l.window.Release(weight) }}
	if err := l.enqueue(o); err != nil {
		o.release()
		return nil, err
	}
	return o, nil
}

// reply puts a reply on its way, or, if too many are in the queue, that the node
// is busy.
func (l *link) reply(e *messages.Envelope) error {
	weight := weightOf(e)
	if !l.replies.TryAcquire(weight) {
		weight = 0
		e = &messages.Envelope{
			MessageId:     e.GetMessageId(),
			SourceAddress: e.GetSourceAddress(),
			SourceBoot:    e.GetSourceBoot(),
			TargetBoot:    e.GetTargetBoot(),
			Reply:         true,
			Error:         encodeError(fmt.Errorf("%w: too many replies are on their way", ErrBusy)),
		}
	}
	o := &outgoing{envelope: e, release: func() { l.replies.Release(weight) }}
	if err := l.enqueue(o); err != nil {
		o.release()
		return err
	}
	return nil
}

func (l *link) enqueue(o *outgoing) error {
	l.posting.Lock()
	defer l.posting.Unlock()
	if err := l.register(o); err != nil {
		return err
	}
	l.post(o.envelope)
	if l.local {
		l.mu.Lock()
		o.passed()
		l.mu.Unlock()
	}
	return nil
}

func (l *link) register(o *outgoing) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended && l.local:
		return ErrClosed
	case l.stream == nil && !l.local:
		return &LinkError{l.peer, Reset, errors.New("it has just broken")}
	}
	if o.done != nil {
		id := o.envelope.GetMessageId()
		if _, found := l.waiting[id]; found {
			return ErrInFlight
		}
		l.waiting[id] = o
	}
	o.queued = true
	if l.local {
		o.taken = true
		return nil
	}
	l.queue = append(l.queue, o)
	return nil
}

// forget ends the story of a message with an error.
func (l *link) forget(o *outgoing, err error) {
	l.end(o.envelope.GetMessageId(), o, nil, err)
}

// end ends the story of a message, and reports whether it had not ended before.
// If the id may have been used again, only says which message is meant.
func (l *link) end(id string, only *outgoing, reply *messages.Envelope, err error) bool {
	l.mu.Lock()
	o, found := l.waiting[id]
	if !found || only != nil && o != only {
		l.mu.Unlock()
		return false
	}
	delete(l.waiting, id)
	done := o.over()
	l.mu.Unlock()
	done(reply, err)
	return true
}

// expire makes a message end by itself.
func (l *link) expire(o *outgoing, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.done != nil {
		o.expiry = time.AfterFunc(after, func() { l.forget(o, context.DeadlineExceeded) })
	}
}
