package remoting_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"singularity/cluster/certs"
	"singularity/cluster/remoting"
)

// patience is how long a test waits for something that must happen.
const patience = time.Minute

// world is a cluster within the test.
type world struct {
	authority string // the folder of the CA
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{authority: t.TempDir()}
	check(t, certs.Init(w.authority, "test"))
	return w
}

// identity makes a node certificate of the cluster.
func (w world) identity(t *testing.T) *certs.Identity {
	t.Helper()
	return load(t, w.folder(t))
}

func (w world) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check(t, certs.Node(w.authority, dir, "127.0.0.1", "localhost"))
	return dir
}

func load(t *testing.T, dir string) *certs.Identity {
	t.Helper()
	identity, err := certs.Load(dir, slog.New(slog.DiscardHandler))
	check(t, err)
	return identity
}

// node starts a node of the cluster with what the test sets in config.
func (w world) node(t *testing.T, config remoting.Config) *remoting.Node {
	t.Helper()
	if config.TLS == nil {
		config.TLS = w.identity(t)
	}
	return listen(t, config)
}

var boots struct {
	sync.Mutex
	n int
}

func newBoot() string {
	boots.Lock()
	defer boots.Unlock()
	boots.n++
	return fmt.Sprintf("boot-%d", boots.n)
}

func listen(t *testing.T, config remoting.Config) *remoting.Node {
	t.Helper()
	if config.Boot == "" {
		config.Boot = newBoot()
	}
	if config.Deliver == nil {
		config.Deliver = echo
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	config.Limits = patient(config.Limits)
	node, err := remoting.Listen(config)
	check(t, err)
	t.Cleanup(node.Close)
	return node
}

// patient gives a busy machine time for all that a test sets no limit to.
func patient(l remoting.Limits) remoting.Limits {
	l.Timeout = cmp.Or(l.Timeout, patience)
	l.Dial = cmp.Or(l.Dial, patience)
	l.Goodbye = cmp.Or(l.Goodbye, patience)
	return l
}

// echo answers with what it was sent.
func echo(_ context.Context, d remoting.Delivery) (remoting.Reply, error) {
	return remoting.Reply{Type: "echoed", Payload: d.Payload}, nil
}

// events collects what a node notifies.
type events chan remoting.Event

func newEvents() events { return make(events, 1000) }

func (e events) notify(event remoting.Event) { e <- event }

// await returns the next event, which must be of that kind.
func (e events) await(t *testing.T, peer remoting.Peer, reason remoting.Reason) remoting.Event {
	t.Helper()
	select {
	case event := <-e:
		if event.Peer != peer || event.Reason != reason || event.Standing != (reason == "") {
			t.Fatalf("event %+v, expected %q of %s", event, reason, peer)
		}
		return event
	case <-time.After(patience):
		t.Fatalf("no event %q of %s", reason, peer)
		return remoting.Event{}
	}
}

// awaitOnly returns when an event says that of the peer, whatever the ones before it say.
func (e events) awaitOnly(t *testing.T, peer remoting.Peer, reason remoting.Reason) {
	t.Helper()
	for {
		event := await(t, e, fmt.Sprintf("the event %q of %s", reason, peer))
		if event.Peer == peer && event.Reason == reason {
			return
		}
	}
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Fatalf("error %q, expected %q", err, expected)
	}
}

func mustCall(t testing.TB, from *remoting.Node, to remoting.Peer, payload string) {
	t.Helper()
	reply, err := from.Call(context.Background(), to, remoting.Message{Type: "echo", Target: "run/1", Payload: []byte(payload)})
	check(t, err)
	if string(reply.Payload) != payload || reply.Type != "echoed" {
		t.Fatalf("reply %+v, expected %q echoed", reply, payload)
	}
}

// lines is a log that tests can wait for.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{}, 1)} }

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) awaitAll(t *testing.T, parts ...string) {
	t.Helper()
	for deadline := time.After(patience); ; {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		missing := ""
		for _, part := range parts {
			if !bytes.Contains([]byte(text), []byte(part)) {
				missing = part
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-l.changed:
		case <-deadline:
			t.Fatalf("no %q in the log:\n%s", missing, text)
		}
	}
}
