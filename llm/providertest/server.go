package providertest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"singularity/llm"
	"singularity/llm/wire"
)

// provider returns a provider for a server that answers by handler.
func (p Protocol) provider(t *testing.T, handler http.HandlerFunc) llm.Provider {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	provider, err := p.New(server.URL, testKey, wire.Config{Transport: server.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// Stream answers with events, as they are.
func Stream(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { sendEvents(w, events...) }
}

func sendEvents(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, event := range events {
		_, _ = io.WriteString(w, event)
		_ = http.NewResponseController(w).Flush()
	}
}

// Reply answers with a status and a JSON body.
func Reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// inMemory returns a provider whose server speaks HTTP over pipes, for use in a
// bubble: time passes when both sides wait.
func (p Protocol) inMemory(t *testing.T, timeouts llm.Timeouts, handler http.HandlerFunc) llm.Provider {
	t.Helper()
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices that the client has left once it has read all
		handler(w, r)
	})}
	go func() { _ = server.Serve(listener) }() // ends with the listener
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return listener.dial(ctx)
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Shutdown(context.WithoutCancel(t.Context())) // waits for the handlers
	})
	provider, err := p.New("http://in.memory", "", wire.Config{Timeouts: timeouts, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "in.memory"} }

// keyIn is the key that a request carries, wherever a protocol puts it.
func keyIn(header http.Header) string {
	for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key"} {
		if key := header.Get(name); key != "" {
			return key
		}
	}
	return strings.TrimPrefix(header.Get("Authorization"), "Bearer ")
}
