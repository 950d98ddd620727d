package remoting

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"singularity/messages"
)

// link is the way to one peer. It keeps a stream to it, redials when the peer is
// one of SetPeers, and ends with the stream otherwise. Its envelopes pass
// through protoactor's queue into the stream.
type link struct {
	peer   Peer
	name   string // of its endpoint, and of no other
	dialer *dialer
	redial time.Duration
	post   func(*messages.Envelope) // hands an envelope to protoactor, which does not wait
	local  bool                     // to this node itself: no queue, no stream

	window  *semaphore.Weighted // what is under way and not a reply
	replies *semaphore.Weighted // the replies in the queue

	kick  chan struct{} // ends a pause
	gone  chan struct{} // closed when the link has ended
	close func(cause error)

	posting sync.Mutex // makes the order of queue that of protoactor's

	mu      sync.Mutex
	stream  *connection // nil while there is none
	attempt *attempt    // to get a stream, the one under way or the next
	waiting map[string]*outgoing
	queue   []*outgoing
	posted  bool // protoactor has an endpoint for it
	ended   bool
}

// attempt is one try to get a stream; err may be read when it is over.
type attempt struct {
	over chan struct{}
	err  error
}

func newAttempt() *attempt { return &attempt{over: make(chan struct{})} }

func (a *attempt) end(err error) {
	a.err = err
	close(a.over)
}

// keeper decides whether a link goes on, and learns how it fares.
type keeper interface {
	// rose is told that the stream stands.
	rose(*link)
	// fell is told why there is no stream, and whether the link was closed, and
	// answers whether to try again.
	fell(l *link, failure *LinkError, closed bool) (again bool)
}

// run keeps the stream until the link is closed, or nobody wants it any more.
func (l *link) run(ctx context.Context, keeper keeper) {
	defer close(l.gone)
	var pause time.Duration
	for {
		stood, err := l.try(ctx, keeper)
		failure := &LinkError{l.peer, reasonOf(err), err}
		closed := ctx.Err() != nil
		if closed {
			failure = &LinkError{l.peer, Closed, context.Cause(ctx)}
		}
		again := keeper.fell(l, failure, closed)
		l.fall(failure, again)
		if !again {
			return
		}
		pause = min(max(2*pause, 50*time.Millisecond), l.redial)
		if stood && failure.Reason != Closed {
			pause = 0 // at once: that the port refuses now is worth knowing
		}
		l.rest(ctx, pause)
	}
}

// try makes a stream and stays with it until it breaks.
func (l *link) try(ctx context.Context, keeper keeper) (stood bool, err error) {
	c, err := l.dialer.dial(ctx, l.peer)
	if err != nil {
		return false, err
	}
	defer c.close()
	l.mu.Lock()
	l.stream = c
	l.attempt.end(nil)
	l.mu.Unlock()
	keeper.rose(l)
	return true, c.receive()
}

// fall answers all that waits, because the stream broke or could not be made.
func (l *link) fall(failure *LinkError, again bool) {
	l.posting.Lock() // so that protoactor gets nothing for a link that has ended
	defer l.posting.Unlock()
	l.mu.Lock()
	if l.stream != nil { // the attempt had succeeded
		l.stream = nil
		l.attempt = newAttempt()
	}
	l.attempt.end(failure)
	if again {
		l.attempt = newAttempt()
	}
	told := make([]func(), 0, len(l.waiting))
	for id, o := range l.waiting {
		delete(l.waiting, id)
		err := error(failure)
		if o.taken {
			err = fmt.Errorf("%w: %w", ErrInterrupted, failure)
		}
		done := o.over()
		told = append(told, func() { done(nil, err) })
	}
	if l.ended = !again; l.ended { // what protoactor still has for it goes nowhere
		for _, o := range l.queue {
			o.passed()
		}
		l.queue = nil
	}
	l.mu.Unlock()
	for _, tell := range told {
		tell()
	}
}

// rest pauses for about as long as it is told, or until somebody needs the peer.
func (l *link) rest(ctx context.Context, pause time.Duration) {
	if pause > 0 {
		pause += rand.N(pause / 4)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.kick:
	case <-ctx.Done():
	}
}

// stands waits for the stream, if there is none for one attempt to make it.
func (l *link) stands(ctx context.Context) error {
	for {
		l.mu.Lock()
		ready, a := l.local || l.stream != nil, l.attempt
		l.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case l.kick <- struct{}{}:
		default:
		}
		select {
		case <-a.over:
			if a.err != nil {
				return a.err
			}
		case <-ctx.Done():
			return &LinkError{l.peer, Keepalive, ctx.Err()}
		}
	}
}

// isUp reports whether the stream stands.
func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.local || l.stream != nil
}

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
	l.posted = true
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
