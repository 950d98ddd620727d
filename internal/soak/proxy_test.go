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

// catch waits for a batch with a certain statement, and holds it.
type catch struct {
	proxy    *proxy
	side     side
	marks    []string // all in the text of one statement
	held     chan struct{}
	released chan struct{}
	once     sync.Once

	// Under the proxy's lock.
	taken   bool // by a batch
	evicted bool // Postgres closed the connection meanwhile
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
		c.release()
	}
	for conn := range p.open {
		_ = conn.Close()
	}
	p.mu.Unlock()
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

// catch holds the next batch with a statement whose text has all the marks.
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
		t.Fatalf("no batch of a node had a statement with %q in %s", c.marks, patience)
	}
}

// release lets the batch go on, and catches nothing more.
func (c *catch) release() { c.once.Do(func() { close(c.released) }) }

// ended reports whether Postgres ended the connection while its batch was held.
func (c *catch) ended() bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.evicted
}

// caught returns the catch of a batch, which catches no other then.
func (p *proxy) caught(texts []string) *catch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.catches {
		if !c.taken && slices.ContainsFunc(texts, c.matches) {
			c.taken = true
			return c
		}
	}
	return nil
}

func (c *catch) matches(text string) bool {
	for _, mark := range c.marks {
		if !strings.Contains(text, mark) {
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
	server, err := net.Dial("tcp", upstream)
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
	if _, err := l.server.Write(startup); err != nil {
		return err
	}
	b := batch{}
	for {
		m, err := readMessage(l.client)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		send := func() error { _, err := l.server.Write(m.raw); return err }
		if b.add(m) {
			c := l.proxy.caught(b.texts)
			b.texts = nil
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
		close(c.held)
		<-c.released
		return nil
	default:
		close(c.held)
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
