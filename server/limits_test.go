package server_test

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/server"
	"singularity/workflow"
)

func TestWatchOutlivesEveryTimeout(t *testing.T) {
	t.Parallel()
	for name, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				engine := unended()
				listener := newPipeListener()
				served := serveOn(t, listener, server.Handler(engine, server.Config{}))
				transport := listener.transport(two)
				defer transport.CloseIdleConnections()
				stream := watch(t, "http://localhost", &http.Client{Transport: transport})
				if !stream.Receive() {
					t.Fatal(stream.Err())
				}

				<-time.After(24 * time.Hour)
				engine.Put(workflow.Run{ID: someRun, Workflow: "greet", State: workflow.Completed})

				if !stream.Receive() || stream.Msg().GetEvent().GetRun().GetState() != string(workflow.Completed) {
					t.Errorf("got %v (%v), want the end of the run", stream.Msg(), stream.Err())
				}
				if stream.Receive() || stream.Err() != nil {
					t.Errorf("got %v (%v), want the end of the stream", stream.Msg(), stream.Err())
				}
				_ = stream.Close()
				served.stop()
				if err := <-served.result; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestClientThatDoesNotReadIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := engineWithAll()
		engine.Put(workflow.Run{ID: someRun, Workflow: "greet", State: workflow.Completed, Output: bytes.Repeat([]byte("1"), 1<<20)})
		inner, answered := server.Handler(engine, server.Config{}), make(chan struct{})
		listener := newPipeListener()
		served := serveOn(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(answered)
			inner.ServeHTTP(w, r)
		}))
		connection := listener.dial()
		defer connection.Close()
		body := `{"id":"` + someRun.String() + `"}`
		begin := time.Now()
		go func() {
			_, _ = connection.Write([]byte("POST /singularity.v1.RunService/GetRun HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
				"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body))
		}()
		<-answered
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("given up after %s, want 30s", took)
		}
		served.stop()
		if err := <-served.result; err != nil {
			t.Error(err)
		}
	})
}

func TestOversizedRequestIsRefusedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for name, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := engineWithAll()
			served := run(t, server.Handler(engine, server.Config{}))
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(!two)
			transport.Protocols.SetUnencryptedHTTP2(two)
			defer transport.CloseIdleConnections()
			node := api{url: served.url, client: &http.Client{Transport: transport}}

			got := node.post(t, "RunService/StartRun", `{"workflow":"greet","inputJson":"`+strings.Repeat("x", 4<<20)+`"}`)
			if got.code != http.StatusRequestEntityTooLarge || decodeError(t, got.body).detail.GetReason() != messages.ErrorDetail_REASON_TOO_LARGE {
				t.Errorf("got %s %s, want 413 with the reason", got.status, got.body)
			}
			if starts := engine.Starts(); starts != nil {
				t.Errorf("got starts %v, want none", starts)
			}
			largest := `{"workflow":"greet","inputJson":"{\"name\":\"` + strings.Repeat("x", workflow.MaxInput-len(`{"name":""}`)) + `\"}"}`
			if got := node.post(t, "RunService/StartRun", largest); got.code != http.StatusOK {
				t.Errorf("the largest input: got %s %.200s, want 200", got.status, got.body)
			}
		})
	}
}

// counted is a listener that counts its connections.
type counted struct {
	net.Listener
	accepted atomic.Int32
}

func (l *counted) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return connection, err
}

func TestConnectionHasRoomForSoManyStreams(t *testing.T) {
	t.Parallel()
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections := &counted{Listener: listener}
	served := serveOn(t, connections, server.Handler(unended(), server.Config{}))
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	const most = 250
	for range most {
		if stream := watch(t, served.url, client); !stream.Receive() {
			t.Fatal(stream.Err())
		}
	}
	if got := connections.accepted.Load(); got != 1 {
		t.Errorf("%d streams took %d connections, want one", most, got)
	}
	// One more finds no room, and its client connects again.
	runs := messagesconnect.NewRunServiceClient(client, served.url, connect.WithGRPC())
	if _, err := runs.ListRuns(t.Context(), &messages.ListRunsRequest{}); err != nil {
		t.Error(err)
	}
	if got := connections.accepted.Load(); got != 2 {
		t.Errorf("one call more: got %d connections, want two", got)
	}
}
