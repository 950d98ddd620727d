package postgres

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// deadlines hears the deadlines of a connection.
type deadlines struct {
	net.Conn
	set chan time.Time
}

func (d deadlines) SetDeadline(t time.Time) error {
	d.set <- t
	return nil
}

func TestPatienceEndsWithTheTransactionThatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := deadlines{set: make(chan time.Time, 1)}
		p := &patience{link: link, limit: 10 * time.Second}
		for range 100 { // of 1 s each: none takes too long, all together do
			p.begin()
			time.Sleep(time.Second)
			p.end()
		}
		time.Sleep(time.Hour)
		if p.armed.Load() {
			t.Error("a timer is set while there is no transaction")
		}
		select {
		case <-link.set:
			t.Fatal("the connection was broken though no transaction took too long")
		default:
		}
		p.begin()
		began := time.Now()
		if broken := <-link.set; !broken.Before(began) {
			t.Errorf("the deadline is %s, want one that is over", broken)
		}
		if took := time.Since(began); took < p.limit || took > 2*p.limit {
			t.Errorf("the connection was broken after %s, want about %s", took, p.limit)
		}
	})
}

func TestPatienceBreaksARealConnection(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	p := &patience{link: here, limit: time.Millisecond}
	p.begin()
	if _, err := here.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read of a transaction that takes too long ends with %v, want %v", err, os.ErrDeadlineExceeded)
	}
}
