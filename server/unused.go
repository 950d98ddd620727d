package server

import (
	"net"
	"net/http"
	"sync"
)

// unusedConns are connections on which nothing was asked yet. Clients open some
// in advance; the shutdown of an http.Server would wait for them as if they
// were calls.
type unusedConns struct {
	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

// note is the ConnState of an http.Server.
func (u *unusedConns) note(conn net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.open, conn)
	case u.closed:
		_ = conn.Close()
	default:
		if u.open == nil {
			u.open = map[net.Conn]bool{}
		}
		u.open[conn] = true
	}
}

// close closes them, and those that are still to come.
func (u *unusedConns) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for conn := range u.open {
		_ = conn.Close()
	}
}
