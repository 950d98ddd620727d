package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/server"
	"singularity/server/servertest"
	"singularity/workflow"
)

func TestListenRefusesWhatOthersCanReach(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		listener, err := server.Listen(t.Context(), address)
		if !errors.Is(err, server.ErrNotLoopback) {
			t.Errorf("%s: got %v, want ErrNotLoopback", address, err)
		}
		if err == nil {
			_ = listener.Close()
		}
	}
}

func TestListenOnLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.0.0.2:0"} {
		listener, err := server.Listen(t.Context(), address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		_ = listener.Close()
	}
	if _, err := server.Listen(t.Context(), "4000"); err == nil {
		t.Error("an address without a port was accepted")
	}
}

// running is a server of [server.Serve] and what it returned.
type running struct {
	url    string
	stop   context.CancelFunc
	result chan error
}

func run(t *testing.T, handler http.Handler) running {
	t.Helper()
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, listener, handler)
}

func serveOn(t *testing.T, listener net.Listener, handler http.Handler) running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	r := running{"http://" + listener.Addr().String(), stop, make(chan error, 1)}
	go func() { r.result <- server.Serve(ctx, listener, handler) }()
	return r
}

func unended() *servertest.Engine {
	engine := &servertest.Engine{
		Events: []workflow.Event{{Kind: workflow.StepStarted, Step: "compose", Attempt: 1}},
	}
	engine.Put(workflow.Run{ID: someRun, Workflow: "greet", State: workflow.Running})
	return engine
}

func watch(t *testing.T, url string, client connect.HTTPClient, options ...connect.ClientOption) *connect.ServerStreamForClient[messages.WatchRunResponse] {
	t.Helper()
	stream, err := messagesconnect.NewRunServiceClient(client, url, options...).WatchRun(t.Context(), &messages.WatchRunRequest{Id: someRun.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	return stream
}

func TestWatchEndsWithTheRun(t *testing.T) {
	t.Parallel()
	engine := unended()
	served := serve(t, engine)
	stream := watch(t, served.url, served.client)

	if !stream.Receive() || stream.Msg().GetEvent().GetKind() != string(workflow.StepStarted) {
		t.Fatalf("got %v (%v), want step_started", stream.Msg(), stream.Err())
	}
	engine.Put(workflow.Run{ID: someRun, Workflow: "greet", State: workflow.Completed, Output: []byte(`{"n":1.0}`)})
	if !stream.Receive() || stream.Msg().GetEvent().GetRun().GetOutputJson() != `{"n":1.0}` {
		t.Fatalf("got %v (%v), want run_ended with the output", stream.Msg(), stream.Err())
	}
	if stream.Receive() || stream.Err() != nil {
		t.Errorf("got %v (%v), want the end of the stream", stream.Msg(), stream.Err())
	}
}

func TestWatchOfAnUnknownRunIsRefused(t *testing.T) {
	t.Parallel()
	served := serve(t, &servertest.Engine{})
	stream := watch(t, served.url, served.client)
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeNotFound {
		t.Errorf("got %v, want not_found", stream.Err())
	}
}

func TestAttachDeliversAndAcknowledges(t *testing.T) {
	t.Parallel()
	served := serve(t, engineWithAll())
	agents := messagesconnect.NewAgentServiceClient(served.client, served.url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := agents.Attach(ctx, &messages.AttachRequest{Name: "scribe"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()

	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	delivery := stream.Msg().GetDelivery()
	if delivery.GetMessageId() != "m1" || delivery.GetPayloadJson() != `{"n":1.0}` || !delivery.GetArrivedAt().AsTime().Equal(servertest.Epoch) {
		t.Errorf("got %v, want message m1 as it was sent", delivery)
	}
	if _, err := agents.Acknowledge(ctx, &messages.AcknowledgeRequest{Agent: delivery.GetAgent(), MessageId: delivery.GetMessageId()}); err != nil {
		t.Error(err)
	}
	if got := served.engine.Acknowledged(); len(got) != 1 || got[0] != "scribe/m1" {
		t.Errorf("got %v acknowledged, want scribe/m1", got)
	}
}

func TestAttachmentThatIsTakenOverEnds(t *testing.T) {
	t.Parallel()
	gone := make(chan workflow.Delivery)
	close(gone)
	served := run(t, server.Handler(attachedElsewhere{&servertest.Engine{}, gone}, server.Config{}))
	stream, err := messagesconnect.NewAgentServiceClient(http.DefaultClient, served.url).Attach(t.Context(), &messages.AttachRequest{Name: "scribe"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeAborted {
		t.Errorf("got %v, want aborted", stream.Err())
	}
}

type attachedElsewhere struct {
	*servertest.Engine
	deliveries chan workflow.Delivery
}

func (e attachedElsewhere) AttachAgent(context.Context, string) (<-chan workflow.Delivery, error) {
	return e.deliveries, nil
}

func TestServeSpeaksGRPC(t *testing.T) {
	t.Parallel()
	served := run(t, server.Handler(unended(), server.Config{}))
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	runs := messagesconnect.NewRunServiceClient(client, served.url, connect.WithGRPC())
	if _, err := runs.GetRun(t.Context(), &messages.GetRunRequest{Id: someRun.String()}); err != nil {
		t.Errorf("unary call: %v", err)
	}
	if stream := watch(t, served.url, client, connect.WithGRPC()); !stream.Receive() {
		t.Errorf("stream: %v", stream.Err())
	}
}

func TestServeEndsStreamsAtItsEnd(t *testing.T) {
	t.Parallel()
	served := run(t, server.Handler(unended(), server.Config{}))
	stream := watch(t, served.url, http.DefaultClient)
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}

	served.stop()

	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnavailable {
		t.Errorf("got %v, want unavailable: watch again", stream.Err())
	}
	if err := <-served.result; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeFinishesCallsAtItsEnd(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	served := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		_, _ = fmt.Fprint(w, "done: ", r.Context().Err())
	}))
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get(served.url) //nolint:noctx // ends with the server
		if err != nil {
			answer <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	<-entered

	served.stop()
	close(leave)

	if got := <-answer; got != "done: <nil>" {
		t.Errorf("got %q, want the whole answer", got)
	}
	if err := <-served.result; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeCutsOffCallsThatGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		entered, leave := make(chan struct{}), make(chan struct{})
		defer close(leave)
		listener := newPipeListener()
		served := serveOn(t, listener, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-leave
		}))
		connection := listener.dial()
		go func() { _, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
		<-entered

		begin := time.Now()
		served.stop()

		if err := <-served.result; err == nil || time.Since(begin) != 5*time.Second {
			t.Errorf("got %v after %s, want an error after 5s", err, time.Since(begin))
		}
	})
}

func TestServeDoesNotWaitForConnectionsWithoutACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := newPipeListener()
		served := serveOn(t, listener, http.NotFoundHandler())
		connection := listener.dial()
		defer connection.Close()
		synctest.Wait() // the server has it

		begin := time.Now()
		served.stop()

		if err := <-served.result; err != nil || time.Since(begin) >= time.Second {
			t.Errorf("got %v after %s, want no error at once", err, time.Since(begin))
		}
	})
}

func TestServeHangsUpOnSlowClients(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sent string
		patience   time.Duration
	}{
		{"header", "GET / HTTP/1.1\r\nHost: ", 10 * time.Second},
		{"body", "POST /singularity.v1.RunService/ListRuns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{", 30 * time.Second},
		{"idle", "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 2 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				listener := newPipeListener()
				served := serveOn(t, listener, server.Handler(&servertest.Engine{}, server.Config{}))
				connection := listener.dial()
				begin := time.Now()
				go func() { _, _ = io.WriteString(connection, test.sent) }()
				_, _ = io.ReadAll(connection)
				if got := time.Since(begin).Round(time.Second); got != test.patience {
					t.Errorf("hung up after %s, want %s", got, test.patience)
				}
				served.stop()
				if err := <-served.result; err != nil {
					t.Errorf("Serve: %v", err)
				}
			})
		})
	}
}

func TestServeCapsHeaders(t *testing.T) {
	t.Parallel()
	served := run(t, server.Handler(&servertest.Engine{}, server.Config{}))
	r := request(t, http.MethodGet, served.url+"/livez", http.NoBody)
	r.Header.Set("X-Long", strings.Repeat("x", 128<<10))
	if got := (api{url: served.url, client: http.DefaultClient}).do(t, r); got.code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s, want 431", got.status)
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	t.Parallel()
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := server.Serve(t.Context(), listener, http.NotFoundHandler()); err == nil {
		t.Error("got nil, want an error")
	}
}

// pipeListener is a listener inside a synctest bubble.
type pipeListener struct {
	connections chan net.Conn
	closed      chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn, 1), make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.connections <- server
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case connection := <-l.connections:
		return connection, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
