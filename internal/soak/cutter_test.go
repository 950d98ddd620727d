package soak

import (
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// cutter stands between an engine and Postgres, and cuts connections at the end
// of their transactions.
type cutter struct {
	t        testing.TB
	listener net.Listener
	upstream string
	conns    sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool // both sides of each connection
	closed bool
	armed  *cut
}

// moment is when a connection is cut.
type moment string

// The moments. But for the first one, the transaction is committed.
const (
	beforeEnd   moment = "before the server has the end"
	afterCommit moment = "after the commit and before the reply"
	lateEnd     moment = "before the server has the end, which comes late"
	silence     moment = "never, with all of it late" // the client gives up by itself
)

// kind is what a transaction does.
type kind struct {
	name     string
	explicit bool // begun by a statement
	mark     string
	also     string // if not empty
	without  string // the same
}

// cut is a connection to lose: the next that ends a transaction of a kind.
type cut struct {
	kind   kind
	moment moment
	stall  time.Duration // until a late end comes

	done      chan struct{} // closed when it has happened, then the rest holds
	committed bool
}

func newCutter(t testing.TB, upstream string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{t: t, listener: listener, upstream: upstream, open: map[net.Conn]bool{}}
	c.conns.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *cutter) address() string { return c.listener.Addr().String() }

func (c *cutter) close() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.conns.Wait()
}

// arm has the next transaction of a kind lose its connection.
func (c *cutter) arm(kind kind, at moment, stall time.Duration) *cut {
	armed := &cut{kind: kind, moment: at, stall: stall, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = armed
	return armed
}

// take returns the cut that a transaction is for, which then is nobody else's.
func (c *cutter) take(x *transaction) *cut {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed == nil || !c.armed.kind.of(x) {
		return nil
	}
	taken := c.armed
	c.armed = nil
	return taken
}

func (k kind) of(x *transaction) bool {
	text := strings.Join(x.statements, "\n")
	return k.explicit == x.explicit && strings.Contains(text, k.mark) && strings.Contains(text, k.also) &&
		(k.without == "" || !strings.Contains(text, k.without))
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.conns.Go(func() { c.serve(client) })
	}
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(c.t.Context(), "tcp", c.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.open[client], c.open[server] = true, true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, client)
		delete(c.open, server)
	}()
	w := &cable{cutter: c, client: client, server: server, answered: make(chan bool)}
	var back sync.WaitGroup
	back.Go(w.answers)
	w.requests()
	_ = server.Close()
	back.Wait()
}

// cable is one connection through a cutter.
type cable struct {
	cutter         *cutter
	client, server net.Conn

	mu       sync.Mutex
	deaf     bool      // the client hears no more
	answered chan bool // gets, of a deaf client, whether its transaction landed
}

// Kinds of messages that Postgres sends.
const (
	failure  = 'E'
	readyFor = 'Z' // the next transaction
)

// answers copies what Postgres says, as long as it is to be heard.
func (w *cable) answers() {
	defer close(w.answered)
	failed := false
	for {
		m, err := readMessage(w.server)
		if err != nil {
			_ = w.client.Close()
			return
		}
		w.mu.Lock()
		deaf := w.deaf
		w.mu.Unlock()
		failed = failed || m.kind == failure
		switch {
		case deaf && m.kind == readyFor:
			w.answered <- !failed
			return
		case m.kind == readyFor:
			failed = false
		}
		if !deaf {
			_, _ = w.client.Write(m.raw) // one that is gone is noticed by requests
		}
	}
}

// requests copies what the client says, up to the end that it is cut at.
func (w *cable) requests() {
	startup, err := readStartup(w.client)
	if err != nil || asksToCancel(startup) {
		return
	}
	if _, err := w.server.Write(startup); err != nil {
		return
	}
	x := &transaction{}
	for {
		m, err := readMessage(w.client)
		if err != nil {
			return
		}
		if x.add(m) {
			if cut := w.cutter.take(x); cut != nil {
				w.cut(cut, m)
				return
			}
			x.reset()
		}
		if _, err := w.server.Write(m.raw); err != nil {
			return
		}
	}
}

// asksToCancel tells the connections by which a client that lost another one
// would have its statements there cancelled. The network has lost both.
func asksToCancel(startup []byte) bool {
	const code = 80877102
	return len(startup) >= 8 && binary.BigEndian.Uint32(startup[4:]) == code
}

// cut loses the connection around the end of a transaction.
func (w *cable) cut(cut *cut, end message) {
	defer close(cut.done)
	w.mu.Lock()
	w.deaf = true
	w.mu.Unlock()
	switch cut.moment {
	case beforeEnd:
		_ = w.client.Close()
		return
	case lateEnd:
		_ = w.client.Close()
		stalled := time.NewTimer(cut.stall)
		defer stalled.Stop()
		<-stalled.C
	case silence:
		_, _ = readMessage(w.client) // until it gives up
	case afterCommit:
	}
	if _, err := w.server.Write(end.raw); err == nil {
		cut.committed = <-w.answered
	}
	_ = w.client.Close()
}

// transaction follows what a client has sent of one.
type transaction struct {
	batch
	explicit bool
}

// add takes in a message, and reports whether it ends the transaction.
func (x *transaction) add(m message) bool {
	if !x.batch.add(m) {
		return false
	}
	last := ""
	if m.kind == simpleQuery {
		last = strings.ToLower(x.statements[len(x.statements)-1])
	}
	switch {
	case strings.HasPrefix(last, "begin"):
		x.explicit = true
		return false
	case x.explicit:
		return strings.HasPrefix(last, "commit") || strings.HasPrefix(last, "rollback")
	default:
		return true
	}
}

func (x *transaction) reset() { x.statements, x.explicit = nil, false }
