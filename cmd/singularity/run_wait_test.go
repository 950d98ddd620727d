package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/server"
	"singularity/server/servertest"
	"singularity/workflow"
)

// watched tells when somebody watches a run.
type watched struct {
	*servertest.Engine
	watching chan struct{}
}

func (e watched) Watch(ctx context.Context, id workflow.RunID) (<-chan workflow.Event, error) {
	events, err := e.Engine.Watch(ctx, id)
	e.watching <- struct{}{}
	return events, err
}

func runningEngine() watched {
	engine := &servertest.Engine{Programs: []*workflow.Program{greeter}}
	engine.Outcome = func(run workflow.Run) workflow.Run {
		run.State, run.Output = workflow.Running, nil
		return run
	}
	return watched{engine, make(chan struct{}, 1)}
}

func (e watched) finish(t *testing.T, id workflow.RunID, output string) {
	t.Helper()
	run, err := e.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	run.State, run.Output = workflow.Completed, json.RawMessage(output)
	e.Put(run)
}

// background runs a call and gives its result when it ends.
func background(ctx context.Context, c call) <-chan result {
	results := make(chan result, 1)
	go func() { results <- c.run(ctx) }()
	return results
}

func TestWaitPrintsTheOutput(t *testing.T) {
	t.Parallel()
	engine := runningEngine()
	results := background(t.Context(), at(serve(t, engine), "run", "start", "greet", "--wait", "-o", "json", "--id", newRun))
	<-engine.watching
	engine.finish(t, id(newRun), `{"n":1.0}`)
	if got := <-results; got != (result{exitDone, `{"n":1.0}` + "\n", ""}) {
		t.Errorf("got %+v", got)
	}
}

func TestInterruptedWaitLeavesTheRunGoing(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"run start greet --wait --id " + newRun, "run wait " + newRun} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			engine := runningEngine()
			engine.Put(workflow.Run{ID: id(newRun), Workflow: "greet", State: workflow.Running})
			ctx, interrupt := context.WithCancel(t.Context())
			results := background(ctx, at(serve(t, engine), strings.Fields(line)...))
			<-engine.watching

			interrupt()

			want := fmt.Sprintf("run %s goes on; `singularity run wait %s` waits for it again\n", newRun, newRun)
			if got := <-results; got != (result{exitInterrupted, "", want}) {
				t.Errorf("got %+v", got)
			}
			if run, err := engine.Run(t.Context(), id(newRun)); err != nil || run.State != workflow.Running {
				t.Errorf("the run is %s (%v), want running", run.State, err)
			}
		})
	}
}

// serveAt serves an engine at an address that nobody else gets while it is away.
func serveAt(t *testing.T, address string, engine server.Engine) *httptest.Server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	served := &httptest.Server{
		Listener: listener,
		Config:   &http.Server{Handler: server.Handler(engine, server.Config{}), ReadHeaderTimeout: time.Minute},
	}
	served.Start()
	return served
}

func TestWaitSurvivesARestartOfTheNode(t *testing.T) {
	t.Parallel()
	engine := runningEngine()
	address := freeAddress(t)
	first := serveAt(t, address, engine)
	results := background(t.Context(), at(first.URL, "run", "start", "greet", "--wait", "-o", "json", "--id", newRun))
	<-engine.watching

	_ = first.Listener.Close()
	first.CloseClientConnections()
	first.Close()
	second := serveAt(t, address, engine)
	defer second.Close()

	<-engine.watching
	engine.finish(t, id(newRun), `"back"`)
	if got := <-results; got != (result{exitDone, "\"back\"\n", ""}) {
		t.Errorf("got %+v", got)
	}
}

func TestWaitGivesUpOnANodeThatStaysAway(t *testing.T) {
	t.Parallel()
	engine := runningEngine()
	engine.Put(workflow.Run{ID: id(newRun), Workflow: "greet", State: workflow.Running})
	node := serveAt(t, freeAddress(t), engine)
	var stderr bytes.Buffer
	c := newCLI(strings.NewReader(""), &bytes.Buffer{}, &stderr, func(string) (string, bool) { return "", false })
	c.patience = 100 * time.Millisecond
	codes := make(chan int, 1)
	go func() { codes <- c.run(t.Context(), []string{"run", "wait", newRun, "--address", node.URL}) }()
	<-engine.watching

	_ = node.Listener.Close()
	node.CloseClientConnections()
	node.Close()

	if code := <-codes; code != exitUnknown || !strings.Contains(stderr.String(), "nothing answers at") {
		t.Errorf("got exit code %d, stderr %q", code, stderr.String())
	}
}

func TestStartWhoseAnswerWasLostIsRepeated(t *testing.T) {
	t.Parallel()
	engine := engineWithAll()
	api := server.Handler(engine, server.Config{})
	var calls atomic.Int32
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/StartRun") && calls.Add(1) <= 2 {
			api.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the run is started, the answer is lost
		}
		api.ServeHTTP(w, r)
	}))
	defer node.Close()

	got := at(node.URL, "run", "start", "greet", "--input", `{"name":"Bob"}`, "--wait", "-o", "json").run(t.Context())

	if got != (result{exitDone, `{"name":"Bob"}` + "\n", ""}) {
		t.Errorf("got %+v", got)
	}
	starts := engine.Starts()
	if len(starts) != 3 || starts[0].ID.IsZero() || starts[1].ID != starts[0].ID || starts[2].ID != starts[0].ID {
		t.Errorf("got starts %+v, want three with one id", starts)
	}
}

func TestStartOfUnknownOutcomeIsRepeatedAndNamesTheRun(t *testing.T) {
	t.Parallel()
	engine := engineWithAll()
	engine.Err = workflow.ErrOutcomeUnknown
	var stderr bytes.Buffer
	c := newCLI(strings.NewReader(""), &bytes.Buffer{}, &stderr, func(string) (string, bool) { return "", false })
	c.patience = 5 * time.Second // for a second trial, if the first one has no time

	code := c.run(t.Context(), []string{"run", "start", "greet", "--id", newRun, "--address", serve(t, engine)})

	if code != exitUnknown || !strings.Contains(stderr.String(), "--id "+newRun) {
		t.Errorf("got exit code %d, stderr %q", code, stderr.String())
	}
	if starts := len(engine.Starts()); starts < 2 {
		t.Errorf("got %d starts, want more than one", starts)
	}
}

func TestInterruptedStartNamesTheRun(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	node := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		_, _ = r.Body.Read(make([]byte, 1<<10)) // so that the server sees the client hang up
		<-r.Context().Done()
	}))
	defer node.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	results := background(ctx, at(node.URL, "run", "start", "greet", "--id", newRun))
	<-entered

	interrupt()

	if got := <-results; got.code != exitInterrupted || !strings.Contains(got.stderr, "run get "+newRun) {
		t.Errorf("got %+v", got)
	}
}

func TestInputComesFromAFileOrStdin(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "input.json")
	if err := os.WriteFile(file, []byte(`{"name": "Ada"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := serve(t, engineWithAll())
	for _, source := range []string{"@" + file, "-", `{"name":"Ada"}`} {
		c := at(address, "run", "start", "greet", "--wait", "-o", "json", "--input", source)
		c.stdin = `{"name": "Ada"}` + "\n"
		if got := c.run(t.Context()); got != (result{exitDone, `{"name":"Ada"}` + "\n", ""}) {
			t.Errorf("%s: got %+v", source, got)
		}
	}
}

func TestOversizedInputIsRefusedWithTheLimit(t *testing.T) {
	t.Parallel()
	c := at(serve(t, engineWithAll()), "run", "start", "greet", "--input", "-")
	c.stdin = `{"name":"` + strings.Repeat("x", workflow.MaxInput) + `"}`
	if got := c.run(t.Context()); got.code != exitRefused || !strings.Contains(got.stderr, "1048576") {
		t.Errorf("got %+v", got)
	}
}

func TestListReadsPageByPage(t *testing.T) {
	t.Parallel()
	engine := &servertest.Engine{}
	for i := range 2500 {
		engine.Put(workflow.Run{ID: workflow.RunID{1, byte(i >> 8), byte(i)}, Workflow: "greet", State: workflow.Completed})
	}
	address := serve(t, engine)
	for _, test := range []struct{ limit, want int }{{1, 1}, {1000, 1000}, {1001, 1001}, {2400, 2400}, {9000, 2500}} {
		got := at(address, "run", "list", "-o", "json", "--limit", fmt.Sprint(test.limit)).run(t.Context())
		var runs []workflow.Run
		if err := json.Unmarshal([]byte(got.stdout), &runs); err != nil || len(runs) != test.want {
			t.Errorf("--limit %d: got %d runs (%v), want %d", test.limit, len(runs), err, test.want)
		}
		for i, run := range runs {
			if at := 2499 - i; run.ID != (workflow.RunID{1, byte(at >> 8), byte(at)}) {
				t.Fatalf("--limit %d: run %d is %s, want number %d", test.limit, i, run.ID, at)
			}
		}
	}
}

func TestLiveView(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	view := newLiveView(&out)
	view.backfill([]*messages.StepRun{
		{Step: "prepare", Attempt: 1, Outcome: "failed", Error: "no paper", StartedAt: timestamppb.New(servertest.Epoch), FinishedAt: timestamppb.New(servertest.Epoch.Add(time.Millisecond))},
		{Step: "prepare", Attempt: 2, Outcome: "completed", StartedAt: timestamppb.New(servertest.Epoch), FinishedAt: timestamppb.New(servertest.Epoch.Add(2345678))},
		{Step: "polish", Turn: 3, Attempt: 4, Outcome: "failed", Error: "no cloth", StartedAt: timestamppb.New(servertest.Epoch), FinishedAt: timestamppb.New(servertest.Epoch)},
	})
	for _, event := range []*messages.RunEvent{
		{Kind: "step_finished", Step: "prepare", Attempt: 2, Elapsed: durationpb.New(time.Millisecond)},
		{Kind: "step_started", Step: "compose", Attempt: 1},
		{Kind: "step_progress", Step: "compose", Attempt: 1, ProgressJson: `{"words":2}`},
		{Kind: "step_failed", Step: "compose", Attempt: 1, Error: "no \x1b[31mink\ngoroutine 1", RetryIn: durationpb.New(time.Second)},
		{Kind: "step_started", Step: "compose", Attempt: 2},
		{Kind: "step_finished", Step: "compose", Attempt: 2, Elapsed: durationpb.New(1500 * time.Millisecond)},
		{Kind: "step_failed", Step: "polish[3]", Attempt: 4, Error: "no cloth"},
		{Kind: "step_failed", Step: "polish[3]", Attempt: 5, Error: "no cloth"},
		{Kind: "run_ended"},
	} {
		view.show(event)
	}
	view.clear()
	want := []string{
		"✗ prepare  no paper\n", "✓ prepare (attempt 2)  2.35ms\n", "✗ polish[3] (attempt 4)  no cloth\n",
		"… compose", `… compose  {"words":2}`, "✗ compose  no \uFFFD[31mink; again in 1s\n",
		"… compose (attempt 2)", "✓ compose (attempt 2)  1.5s\n", "✗ polish[3] (attempt 5)  no cloth; no further attempt\n", "",
	}
	if got := strings.Split(out.String(), eraseLine)[1:]; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestBriefDurations(t *testing.T) {
	t.Parallel()
	for duration, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 21_121: "21.12µs", 705_941_661: "705.94ms", 1_503_000_000: "1.5s", 61_234_567_891: "1m1.23s",
	} {
		if got := brief(duration).String(); got != want {
			t.Errorf("%d ns: got %s, want %s", duration, got, want)
		}
	}
}
