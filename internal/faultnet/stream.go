package faultnet

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// sentAgain is how much later something arrives that was lost once.
const sentAgain = 200 * time.Millisecond

// Dial makes a stream to host:port, over TCP.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	for {
		loss, changed := here.to(address)
		if loss.Out < cut && loss.In < cut {
			break
		}
		here.lost.Add(1)
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
		}
	}
	inner, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &stream{Conn: inner, peer: address, closed: make(chan struct{})}, nil
}

// stream is a connection that this process made.
type stream struct {
	net.Conn
	peer   string
	closed chan struct{}
	close  sync.Once

	mu               sync.Mutex
	reading, writing time.Time // deadlines
}

// Read reads what has arrived, also the end of the stream.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if held := s.pass(func(l Loss) int { return l.In }, s.deadline(&s.reading)); held != nil {
		return 0, held // as good as broken: what was read is gone
	}
	return n, err
}

func (s *stream) Write(b []byte) (int, error) {
	if err := s.pass(func(l Loss) int { return l.Out }, s.deadline(&s.writing)); err != nil {
		return 0, err
	}
	return s.Conn.Write(b)
}

// pass waits until the network lets something through.
func (s *stream) pass(way func(Loss) int, deadline time.Time) error {
	var late <-chan time.Time
	if !deadline.IsZero() {
		late = time.After(time.Until(deadline))
	}
	for {
		loss, changed := here.to(s.peer)
		percent := way(loss)
		if !here.takes(percent) {
			return nil
		}
		var arrives <-chan time.Time
		if percent < cut {
			arrives = time.After(sentAgain)
		}
		select {
		case <-arrives:
			return nil
		case <-changed:
		case <-s.closed:
			return net.ErrClosed
		case <-late:
			return os.ErrDeadlineExceeded
		}
	}
}

func (s *stream) deadline(of *time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *of
}

// SetDeadline implements [net.Conn], for what begins later.
func (s *stream) SetDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading, s.writing = t, t
	return s.Conn.SetDeadline(t)
}

// SetReadDeadline implements [net.Conn], for what begins later.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = t
	return s.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements [net.Conn], for what begins later.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = t
	return s.Conn.SetWriteDeadline(t)
}

// Close also ends what is held up.
func (s *stream) Close() error {
	s.close.Do(func() { close(s.closed) })
	return s.Conn.Close()
}
