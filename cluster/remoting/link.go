package remoting

import (
	"context"
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
	dialer *dialer
	redial time.Duration
	post   func(*messages.Envelope) // hands an envelope to protoactor, which does not wait
	retire func()                   // has protoactor forget the endpoint that it made for the first one
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

// run keeps the stream until the link is closed, or nobody wants it any more.
func (l *link) run(ctx context.Context, all *links) {
	defer close(l.gone)
	var pause time.Duration
	for {
		stood, err := l.try(ctx, all)
		failure := &LinkError{l.peer, reasonOf(err), err}
		closed := ctx.Err() != nil
		if closed {
			failure = &LinkError{l.peer, Closed, context.Cause(ctx)}
		}
		again := all.fell(l, failure, closed)
		for _, tell := range l.fall(failure, again) {
			tell()
		}
		if !again {
			l.retire()
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
func (l *link) try(ctx context.Context, all *links) (stood bool, err error) {
	c, err := l.dialer.dial(ctx, l.peer)
	if err != nil {
		return false, err
	}
	defer c.close()
	l.mu.Lock()
	l.stream = c
	l.attempt.end(nil)
	l.mu.Unlock()
	all.rose(l)
	return true, c.receive()
}

// fall ends all that waits, because the stream broke or could not be made. It
// returns how to tell those concerned.
func (l *link) fall(failure *LinkError, again bool) (told []func()) {
	l.posting.Lock() // so that protoactor gets nothing for a link that has ended
	defer l.posting.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != nil { // the attempt had succeeded
		l.stream = nil
		l.attempt = newAttempt()
	}
	l.attempt.end(failure)
	if again {
		l.attempt = newAttempt()
	}
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
	return told
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
