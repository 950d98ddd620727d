package postgres

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// runTimeout bounds a transaction even where the network swallows it.
const runTimeout = statementTimeout + 5*time.Second

// patience breaks a connection whose transaction takes too long. A timer of
// each transaction, such as that of a deadline or a context, makes the runtime
// rouse a processor to look after it, which takes 5 us of a commit of 200. So
// there is one that looks now and then while there are transactions, and none
// while there are not.
type patience struct {
	link  net.Conn
	limit time.Duration
	since atomic.Pointer[time.Time] // when the transaction under way began; nil for none
	armed atomic.Bool
}

// patienceKey is where a connection keeps it.
const patienceKey = "singularity patience"

// patienceWith returns that of a connection, which nobody else uses now.
func patienceWith(conn *pgconn.PgConn) *patience {
	p, ok := conn.CustomData()[patienceKey].(*patience)
	if !ok {
		p = &patience{link: conn.Conn(), limit: runTimeout}
		conn.CustomData()[patienceKey] = p
	}
	return p
}

func (p *patience) begin() {
	now := time.Now()
	p.since.Store(&now)
	if p.armed.CompareAndSwap(false, true) {
		time.AfterFunc(p.limit, p.look)
	}
}

func (p *patience) end() { p.since.Store(nil) }

// look breaks the connection, or looks again when the transaction under way
// will have taken too long.
func (p *patience) look() {
	since := p.since.Load()
	if since == nil {
		p.armed.Store(false)
		if p.since.Load() == nil || !p.armed.CompareAndSwap(false, true) {
			return
		}
		since = new(time.Now()) // one has begun meanwhile
	}
	if left := p.limit - time.Since(*since); left > 0 {
		time.AfterFunc(left, p.look)
		return
	}
	_ = p.link.SetDeadline(time.Unix(1, 0)) // an error of it says that the connection is closed
}
