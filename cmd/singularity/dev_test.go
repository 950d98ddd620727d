package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity/server"
	"singularity/server/servertest"
	"singularity/workflow"
)

// devNode is a dev that is ready.
type devNode struct {
	URL     string
	PID     int
	stop    context.CancelFunc
	results <-chan result
}

// startDev runs dev in this process until the test ends.
func startDev(t *testing.T, env map[string]string, args ...string) devNode {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() {
		stop()
		<-ended
	})
	stdout, stdoutWriter := io.Pipe()
	results := make(chan result, 1)
	go func() {
		defer close(ended)
		var stderr bytes.Buffer
		args := append([]string{"dev", "-o", "json", "--http", "127.0.0.1:0"}, args...)
		code := run(ctx, args, strings.NewReader(""), stdoutWriter, &stderr, lookup(env))
		_ = stdoutWriter.Close()
		results <- result{code: code, stderr: stderr.String()}
	}()
	node := devNode{stop: stop, results: results}
	if err := json.NewDecoder(stdout).Decode(&node); err != nil {
		t.Fatalf("dev is not ready: %v, %+v", err, <-results)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return node
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, found := env[name]
		return value, found
	}
}

func TestDevRunsTheBuiltInWorkflows(t *testing.T) {
	t.Parallel()
	node := startDev(t, nil, "--ephemeral")
	tests := []struct {
		workflow, input string
		want            map[string]func(any) bool
	}{
		{"llm_request", `{"request_id":"r1","task_type":"classifier","messages":[{"role":"user","content":"Is this spam?"}]}`,
			map[string]func(any) bool{"request_id": is("r1"), "response": isText, "model": isText, "tokens_used": isNumber, "cost_cents": isNumber, "provider": is("simulated")}},
		{"embedding", `{"query_id":"q1","query":"What is a checkpoint?"}`,
			map[string]func(any) bool{"query_id": is("q1"), "embedding": hasLength(2560), "embedding_dim": is(2560.0), "timestamp": isText}},
		{"agent_coordination", `{"message_id":"m1","source_agent":"echo","target_agent":"scribe","message_type":"note","payload":{"text":"hello"}}`,
			map[string]func(any) bool{"message_id": is("m1"), "routed": is(true), "timestamp": isText}},
	}
	for _, test := range tests {
		got := at(node.URL, "run", "start", test.workflow, "--wait", "-o", "json", "--input", test.input).run(t.Context())
		var output map[string]any
		if err := json.Unmarshal([]byte(got.stdout), &output); err != nil || got.code != exitDone {
			t.Errorf("%s: got %+v (%v)", test.workflow, got, err)
			continue
		}
		if len(output) != len(test.want) {
			t.Errorf("%s: got fields %v, want %v", test.workflow, sorted(output), sorted(test.want))
		}
		for name, good := range test.want {
			if !good(output[name]) {
				t.Errorf("%s: got %s %v", test.workflow, name, output[name])
			}
		}
	}

	node.stop()
	if got := <-node.results; got.code != exitDone {
		t.Errorf("dev ended with %+v", got)
	}
}

func sorted[V any](fields map[string]V) []string {
	var names []string
	for name := range maps.Keys(fields) {
		names = append(names, name)
	}
	return names
}

func is(want any) func(any) bool { return func(got any) bool { return got == want } }

func isText(got any) bool {
	text, ok := got.(string)
	return ok && text != ""
}

func isNumber(got any) bool {
	number, ok := got.(float64)
	return ok && number > 0
}

func hasLength(n int) func(any) bool {
	return func(got any) bool {
		list, ok := got.([]any)
		return ok && len(list) == n
	}
}

func TestDevKeepsItsDataAndLetsNobodyElseIn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	node := startDev(t, nil, "--data-dir", dir)
	started := at(node.URL, "run", "start", "embedding", "--wait", "-o", "json", "--id", newRun, "--input", `{"query_id":"q1","query":"hello"}`).run(t.Context())
	if started.code != exitDone {
		t.Fatalf("got %+v", started)
	}

	second := call{args: []string{"dev", "--http", "127.0.0.1:0", "--data-dir", dir}}.run(withTimeout(t))
	if second.code != exitRefused || !strings.Contains(second.stderr, "--data-dir") || second.stdout != "" {
		t.Errorf("a second dev got %+v, want exit code 1 and advice", second)
	}

	node.stop()
	if got := <-node.results; got.code != exitDone {
		t.Fatalf("dev ended with %+v", got)
	}
	node = startDev(t, nil, "--data-dir", dir)
	if got := at(node.URL, "run", "wait", newRun, "-o", "json").run(t.Context()); got != started {
		t.Errorf("after a restart got %.200v, want the same output", got)
	}
}

func TestDevIsTheOnlyMember(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"embedded": {"--data-dir", t.TempDir()}, "in memory": {"--ephemeral"}} {
		node := startDev(t, nil, args...)
		got := at(node.URL, "cluster", "members", "-o", "json").run(t.Context())
		var members []member
		if err := json.Unmarshal([]byte(got.stdout), &members); err != nil || len(members) != 1 {
			t.Fatalf("%s: got %+v (%v), want one member", name, got, err)
		}
		m := members[0]
		if m.Status != "online" || int(m.PID) != node.PID || !strings.Contains(string(m.Capabilities), `"llm":true`) || !strings.Contains(string(m.Capabilities), `"queues":["default",`) || m.Version != thisBuild().Version {
			t.Errorf("%s: got %+v, want this process", name, m)
		}
	}
}

func TestDevDeliversToItsAgents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	node := startDev(t, nil, "--data-dir", dir)
	got := at(node.URL, "run", "start", "agent_coordination", "--wait", "--input",
		`{"message_id":"m1","source_agent":"echo","target_agent":"scribe","message_type":"note","payload":{"text":"hello"}}`).run(t.Context())
	if got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
	node.stop()
	<-node.results // the message is written before its agent ends, or after the next start

	node = startDev(t, nil, "--data-dir", dir)
	eventually(t, func() bool {
		written, err := os.ReadFile(filepath.Join(dir, "scribe.jsonl"))
		return err == nil && strings.Contains(string(written), `"message_id":"m1"`)
	})
}

// eventually waits for what happens in another process or actor and tells
// nobody.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for pause := (&cli{patience: time.Minute}).pauses(); !done(); {
		if !pause.next(t.Context()) {
			t.Fatal("it did not happen")
		}
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()

	for address, replaced := range map[string]bool{taken.Addr().String(): true, "127.0.0.1:0": false} {
		endpoint, err := (&httpFlags{address: address}).listen(t.Context())
		if err != nil || endpoint.replaced != replaced {
			t.Fatalf("%s by default: got %+v, %v; want replaced %t", address, endpoint, err, replaced)
		}
		_ = endpoint.Close()
	}

	got := call{args: []string{"dev", "--ephemeral", "--http", taken.Addr().String()}}.run(t.Context())
	if got.code != exitRefused || !strings.Contains(got.stderr, "--http") || !strings.Contains(got.stderr, "in use") {
		t.Errorf("got %+v, want exit code 1 and the flag", got)
	}
}

func TestDevRefusesToBeReachable(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:4000"} {
		got := call{args: []string{"dev", "--ephemeral", "--http", address}}.run(t.Context())
		if got.code != exitRefused || !strings.Contains(got.stderr, "--http") || !strings.Contains(got.stderr, "loopback") || !strings.Contains(got.stderr, "--tls-dir") {
			t.Errorf("%s: got %+v, want exit code 1 and the flags", address, got)
		}
	}
}

func TestQueueLimits(t *testing.T) {
	t.Parallel()
	var limits queueLimits
	if err := limits.Set("default=10,metrics=5"); err != nil || !maps.Equal(limits, queueLimits{"default": 10, "metrics": 5}) {
		t.Errorf("got %v, %v", limits, err)
	}
	if got := limits.String(); got != "default=10,metrics=5" {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"", "default", "default=", "=3", "default=0", "default=-1", "default=ten", "default=10,"} {
		if err := limits.Set(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// quitter is a node that gives up at once.
type quitter struct {
	servertest.Engine
	err    error
	closed bool
}

func (q *quitter) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (q *quitter) DrainAsked() <-chan struct{} { return nil }

func (q *quitter) Err() error { return q.err }

func (q *quitter) Close(context.Context) error {
	q.closed = true
	return nil
}

func TestDevEndsWhenTheEngineGivesUp(t *testing.T) {
	t.Parallel()
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	engine := &quitter{err: errors.New("too many lost slots")}
	err = serveUntilDone(t.Context(), engine, listener, server.Config{Logger: slog.New(slog.DiscardHandler)}, func() error { return nil })
	if !errors.Is(err, engine.err) || exitCode(err) != exitRefused || !engine.closed {
		t.Errorf("got %v, closed %t; want the engine's error, and it closed", err, engine.closed)
	}
}

func TestWatchersHearOfTheEndWhileTheNodeDrains(t *testing.T) {
	t.Parallel()
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	engine := &drainer{watched: runningEngine()}
	engine.Put(workflow.Run{ID: id(newRun), Workflow: "greet", State: workflow.Running})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveUntilDone(ctx, engine, listener, server.Config{Logger: slog.New(slog.DiscardHandler)}, func() error { return nil })
	}()
	results := background(t.Context(), at("http://"+listener.Addr().String(), "run", "wait", newRun, "-o", "json"))
	<-engine.watching

	stop()

	if got := <-results; got != (result{exitDone, "\"drained\"\n", ""}) {
		t.Errorf("got %+v", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestNodeEndsInOrderWhenItIsAskedToDrain(t *testing.T) {
	t.Parallel()
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	engine := &drainer{watched: runningEngine(), asked: make(chan struct{})}
	close(engine.asked)
	err = serveUntilDone(t.Context(), engine, listener, server.Config{Logger: slog.New(slog.DiscardHandler)}, func() error { return nil })
	if run, readErr := engine.Run(t.Context(), id(newRun)); err != nil || readErr != nil || run.State != workflow.Completed {
		t.Errorf("got %v, and run %+v, %v; want the node drained", err, run, readErr)
	}
}

// drainer is a node whose run ends while it drains.
type drainer struct {
	watched
	asked chan struct{}
}

func (d *drainer) DrainAsked() <-chan struct{} { return d.asked }

func (*drainer) Done() <-chan struct{} { return nil }

func (*drainer) Err() error { return nil }

func (d *drainer) Close(ctx context.Context) error {
	d.Put(workflow.Run{ID: id(newRun), Workflow: "greet", State: workflow.Completed, Output: json.RawMessage(`"drained"`)})
	return ctx.Err()
}

// withTimeout is for calls that would go on for ever if they went wrong.
func withTimeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
