package remoting_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"singularity/internal/testport"
)

// cable is a network between two nodes that can be cut. Without a far end it
// takes connections and leaves them alone.
type cable struct {
	near, far string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

func newCable(t *testing.T, far string) *cable {
	t.Helper()
	near, err := testport.Free(t.Context(), "127.0.0.1")
	check(t, err)
	c := &cable{near: near, far: far}
	c.mend(t)
	t.Cleanup(c.cut)
	return c
}

func (c *cable) address() string { return c.near }

// mend lets connections through.
func (c *cable) mend(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", c.near)
	check(t, err)
	c.mu.Lock()
	c.listener = listener
	c.mu.Unlock()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.join(conn)
		}
	}()
}

func (c *cable) join(near net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, near)
	if c.far == "" {
		return
	}
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", c.far)
	if err != nil {
		near.Close()
		return
	}
	c.conns = append(c.conns, far)
	for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(ends[0], ends[1])
			near.Close()
			far.Close()
		}()
	}
}

// cut breaks all connections and refuses others.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listener.Close()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}
