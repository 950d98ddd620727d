package soak

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a node and Postgres, and can hold back a batch of
// statements at its end. A batch that is one transaction has written by then,
// and is not committed.
type proxy struct {
	t        testing.TB
	listener net.Listener
	conns    sync.WaitGroup

	requests, answers gate

	mu       sync.Mutex
	upstream string
	open     map[net.Conn]bool // both sides of each connection
	catches  []*catch
	closed   bool
}

// side is what of a batch is held back.
type side string

const (
	commit side = "commit" // the end of the batch, on its way to Postgres
	answer side = "answer" // what Postgres says after the commit
)

// catch holds all batches with a certain statement until it is released.
type catch struct {
	proxy    *proxy
	side     side
	marks    []string      // all in one statement, as text or parameters
	held     chan struct{} // closed when there is one
	released chan struct{}

	// Under the proxy's lock.
	holding, free, evicted bool
}

func newProxy(t testing.TB, upstream string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: listener, upstream: upstream, open: map[net.Conn]bool{}}
	p.conns.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for _, c := range p.catches {
		c.letGo()
	}
	for conn := range p.open {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.requests.set(true)
	p.answers.set(true)
	p.conns.Wait()
}

// lead makes new connections go to another server, and cuts those there are.
func (p *proxy) lead(upstream string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = upstream
	for conn := range p.open {
		_ = conn.Close()
	}
}

// catch holds the batches with a statement that has all the marks.
func (p *proxy) catch(side side, marks ...string) *catch {
	c := &catch{proxy: p, side: side, marks: marks, held: make(chan struct{}), released: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catches = append(p.catches, c)
	return c
}

// await waits until a batch is held.
func (c *catch) await(t testing.TB) {
	t.Helper()
	ctx, cancel := bounded(t)
	defer cancel()
	select {
	case <-c.held:
	case <-ctx.Done():
		t.Fatalf("in %s no batch had a statement with %q", patience, c.marks)
	}
}

// release lets go what is held, and holds nothing more.
func (c *catch) release() {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	c.letGo()
}

func (c *catch) letGo() {
	if !c.free {
		c.free = true
		close(c.released)
	}
}

// ended reports whether Postgres ended the connection while its batch was held.
func (c *catch) ended() bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.evicted
}

// caught returns the catch of a batch.
func (p *proxy) caught(statements []string) *catch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.catches {
		if !c.free && slices.ContainsFunc(statements, c.matches) {
			return c
		}
	}
	return nil
}

// holds notes that a batch is held.
func (c *catch) holds() {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if !c.holding {
		c.holding = true
		close(c.held)
	}
}

func (c *catch) matches(statement string) bool {
	for _, mark := range c.marks {
		if !strings.Contains(statement, mark) {
			return false
		}
	}
	return true
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.conns.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	p.mu.Lock()
	upstream := p.upstream
	p.mu.Unlock()
	server, err := (&net.Dialer{}).DialContext(p.t.Context(), "tcp", upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	if !p.keep(client, server) {
		return
	}
	defer p.drop(client, server)
	l := &link{proxy: p, client: client, server: server, gone: make(chan struct{})}
	var back sync.WaitGroup
	back.Go(l.answers)
	_ = l.requests() // the connection has ended, for whatever reason
	_ = server.Close()
	back.Wait()
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.closed {
			_ = conn.Close()
			continue
		}
		p.open[conn] = true
	}
	return !p.closed
}

func (p *proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
		delete(p.open, conn)
	}
}

// link is one connection through a proxy.
type link struct {
	proxy          *proxy
	client, server net.Conn
	gone           chan struct{} // Postgres has closed it

	answering sync.Mutex // held while the client gets no answers
}

// answers copies what Postgres says.
func (l *link) answers() {
	defer close(l.gone)
	defer l.client.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buffer)
		l.proxy.answers.pass()
		l.answering.Lock()
		_, writeErr := l.client.Write(buffer[:n])
		l.answering.Unlock()
		if err := errors.Join(err, writeErr); err != nil {
			return
		}
	}
}

// requests copies what the client says, but for what is caught.
func (l *link) requests() error {
	startup, err := readStartup(l.client)
	if err != nil {
		return err
	}
	l.proxy.requests.pass()
	if _, err := l.server.Write(startup); err != nil {
		return err
	}
	b := batch{}
	for {
		m, err := readMessage(l.client)
		l.proxy.requests.pass()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		send := func() error { _, err := l.server.Write(m.raw); return err }
		if b.add(m) {
			c := l.proxy.caught(b.statements)
			b.statements = nil
			err = l.send(c, send)
		} else {
			err = send()
		}
		if err != nil {
			return err
		}
	}
}

// send sends the end of a batch, as its catch wants it.
func (l *link) send(c *catch, send func() error) error {
	switch {
	case c == nil:
		return send()
	case c.side == answer:
		l.answering.Lock()
		defer l.answering.Unlock()
		if err := send(); err != nil {
			return err
		}
		c.holds()
		<-c.released
		return nil
	default:
		c.holds()
		select {
		case <-c.released:
		case <-l.gone:
			l.proxy.mu.Lock()
			c.evicted = true
			l.proxy.mu.Unlock()
			<-c.released
		}
		return send()
	}
}
