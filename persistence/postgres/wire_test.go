package postgres_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// wire stands between a store and its server. It counts what the store sends,
// and can lose the end of a transaction.
type wire struct {
	server   string // the path of its socket
	listener net.Listener
	loss     atomic.Int32

	mu    sync.Mutex
	sent  map[byte]int // messages by their type
	conns []net.Conn
}

// What a wire can lose, once: the connection breaks with it.
const (
	nothing  int32 = iota
	lastWord       // the message that ends a transaction
	answer         // what the server says to it
)

// Types of messages.
const (
	execute  = 'E'
	endOf    = 'S' // a transaction
	readyFor = 'Z' // the next
)

// newWire returns a wire and the URL of a database through it.
func newWire(t *testing.T, database string) (*wire, string) {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{
		server:   filepath.Join(config.Host, ".s.PGSQL."+strconv.Itoa(int(config.Port))),
		listener: listener, sent: map[byte]int{},
	}
	var serving sync.WaitGroup
	serving.Go(func() { w.serve(t, &serving) })
	t.Cleanup(func() {
		w.refuse()
		w.mu.Lock()
		for _, conn := range w.conns {
			_ = conn.Close()
		}
		w.mu.Unlock()
		serving.Wait()
	})
	through, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	query := through.Query()
	query.Set("host", dir)
	query.Set("port", "5432")
	through.RawQuery = query.Encode()
	return w, through.String()
}

// refuse lets nobody connect any more; connections that there are stay.
func (w *wire) refuse() { _ = w.listener.Close() }

// count returns how many messages of a type were sent so far.
func (w *wire) count(kind byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[kind]
}

func (w *wire) serve(t *testing.T, serving *sync.WaitGroup) {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(t.Context(), "unix", w.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, client, server)
		w.mu.Unlock()
		var deaf atomic.Bool // the client hears no more of the server
		serving.Go(func() {
			defer client.Close()
			defer server.Close()
			w.forward(client, server, &deaf)
		})
		serving.Go(func() {
			defer client.Close()
			defer server.Close()
			for kind, message := range messages(server) {
				if !deaf.Load() {
					_, _ = client.Write(message)
				} else if kind == readyFor {
					return
				}
			}
		})
	}
}

// forward hands what a client sends to the server, unless it is to be lost.
func (w *wire) forward(client, server net.Conn, deaf *atomic.Bool) {
	if err := forwardStartup(client, server); err != nil {
		return
	}
	for kind, message := range messages(client) {
		w.mu.Lock()
		w.sent[kind]++
		w.mu.Unlock()
		if kind == endOf && w.loss.CompareAndSwap(lastWord, nothing) {
			return
		}
		if kind == endOf && w.loss.CompareAndSwap(answer, nothing) {
			deaf.Store(true)
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// forwardStartup hands over the first message, which has no type.
func forwardStartup(client, server net.Conn) error {
	var size [4]byte
	if _, err := io.ReadFull(client, size[:]); err != nil {
		return err
	}
	if _, err := server.Write(size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(server, client, int64(binary.BigEndian.Uint32(size[:]))-4)
	return err
}

// messages yields the messages of one side, by type and whole.
func messages(from net.Conn) func(func(byte, []byte) bool) {
	return func(yield func(byte, []byte) bool) {
		for {
			head := make([]byte, 5)
			if _, err := io.ReadFull(from, head); err != nil {
				return
			}
			message := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
			copy(message, head)
			if _, err := io.ReadFull(from, message[len(head):]); err != nil || !yield(head[0], message) {
				return
			}
		}
	}
}
