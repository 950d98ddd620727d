package openai

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/llm"
)

// setupInMemory returns a provider whose server speaks HTTP over pipes, for
// use in a bubble: time passes when both sides wait.
func setupInMemory(t *testing.T, handler http.HandlerFunc) *Provider {
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
		_ = server.Shutdown(context.Background()) // waits for the handlers
	})
	provider, err := New("http://in.memory/v1", "", Config{Transport: transport})
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

func TestSilentServersAreGivenUp(t *testing.T) {
	t.Parallel()
	silence := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	after := func(documents ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			sendEvents(w, documents...)
			silence(w, r)
		}
	}
	every := func(interval time.Duration, document string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				sendEvents(w, document)
				time.Sleep(interval) // of the bubble's clock
			}
		}
	}
	thought := strings.Replace(hello, `"content":"Hel"`, `"reasoning_content":"hm"`, 1)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    time.Duration
		reason  string
	}{
		"before its head":        {silence, 30 * time.Second, "no token within 30s"},
		"after its head":         {after(), 30 * time.Second, "no token within 30s"},
		"before the first token": {after(announcement), 30 * time.Second, "no token within 30s"},
		"announcing for ever":    {every(10*time.Second, announcement), 30 * time.Second, "no token within 30s"},
		"after a token":          {after(announcement, hello), 60 * time.Second, "the answer stopped for 1m0s"},
		"after a thought":        {after(announcement, thought), 60 * time.Second, "the answer stopped for 1m0s"},
		"after the finish":       {after(hello, stopped), 60 * time.Second, "the answer stopped for 1m0s"},
		"never, without end":     {every(59*time.Second, hello), 10 * time.Minute, "not complete within 10m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				provider := setupInMemory(t, test.handler)
				started := time.Now()
				_, err := provider.Complete(t.Context(), question())
				if elapsed := time.Since(started); llm.ClassOf(err) != llm.Timeout || elapsed != test.want {
					t.Errorf("%v after %s, expected a timeout after %s", err, elapsed, test.want)
				}
				if err != nil && !strings.Contains(err.Error(), test.reason) {
					t.Errorf("%v, expected %q", err, test.reason)
				}
			})
		})
	}
}

func TestSlowServersAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		provider := setupInMemory(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(29 * time.Second) // of the bubble's clock
			for _, document := range []string{hello, lo, stopped, usage, done} {
				sendEvents(w, document)
				time.Sleep(59 * time.Second)
			}
		})
		response, err := provider.Complete(t.Context(), question())
		if err != nil || response.Text != "Hello" {
			t.Errorf("%+v, %v", response, err)
		}
	})
}

func TestSilentEmbeddingsAreGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		provider := setupInMemory(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		started := time.Now()
		_, err := provider.Embedder("m", 0).Embed(t.Context(), "hello")
		if elapsed := time.Since(started); llm.ClassOf(err) != llm.Timeout || elapsed != 30*time.Second {
			t.Errorf("%v after %s, expected a timeout after 30s", err, elapsed)
		}
	})
}

func TestCallerMayGiveUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end   func(context.Context) (context.Context, context.CancelFunc)
		class llm.Class
	}{
		"by cancelling": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(5*time.Second, cancel)
			return ctx, cancel
		}, llm.Cancelled},
		"by a deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Second)
		}, llm.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				provider := setupInMemory(t, func(w http.ResponseWriter, r *http.Request) {
					sendEvents(w, hello)
					<-r.Context().Done()
				})
				ctx, cancel := test.end(t.Context())
				defer cancel()
				started := time.Now()
				_, err := provider.Complete(ctx, question())
				if elapsed := time.Since(started); llm.ClassOf(err) != test.class || elapsed != 5*time.Second {
					t.Errorf("%v after %s, expected class %s after 5s", err, elapsed, test.class)
				}
			})
		})
	}
}
