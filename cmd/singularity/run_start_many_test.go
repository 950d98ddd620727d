package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"singularity/server"
	"singularity/workflow"
)

// queries is a file of so many inputs of the embedding workflow.
func queries(t *testing.T, count int) (file string) {
	t.Helper()
	var lines strings.Builder
	for i := range count {
		fmt.Fprintf(&lines, `{"query_id":"q%d","query":"durable workflows"}`+"\n", i)
	}
	file = filepath.Join(t.TempDir(), "inputs.jsonl")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFileOfSeveralPagesMayBeStartedAgain(t *testing.T) {
	t.Parallel()
	const count = workflow.MaxStarts + 2
	node := startDev(t, nil, "--ephemeral")
	again := at(node.URL, "run", "start", "embedding", "--inputs", queries(t, count), "--in", "24h", "--id", newRun, "-o", "json")
	for attached := range 2 {
		got := again.run(t.Context())
		var runs []startedRun
		if err := json.Unmarshal([]byte(got.stdout), &runs); err != nil || got.code != exitDone || len(runs) != count {
			t.Fatalf("got %d runs, exit code %d, stderr %q (%v)", len(runs), got.code, got.stderr, err)
		}
		for i, run := range runs {
			if run.ID != id(newRun).Offset(i).String() || run.Attached != (attached == 1) {
				t.Fatalf("call %d: run %d is %+v", attached, i, run)
			}
		}
		if want := fmt.Sprintf("%d runs started\n", count); !strings.HasSuffix(got.stderr, want) {
			t.Errorf("got stderr %q, want it to end with %q", got.stderr, want)
		}
	}
}

func TestBatchIsClosedBehindTheLastLine(t *testing.T) {
	t.Parallel()
	engine := engineWithAll()
	node := httptest.NewServer(server.Handler(engine, server.Config{}))
	t.Cleanup(node.Close)
	got := at(node.URL, "run", "start", "greet", "--inputs", "testdata/names.jsonl", "--batch", "names", "--on-end", "greet").run(t.Context())
	if got.code != exitDone || !strings.Contains(got.stdout, "BATCH     names") {
		t.Errorf("got %+v", got)
	}
	want := []workflow.Batch{{ID: "names", OnEnd: "greet"}, {ID: "names", OnEnd: "greet", Last: true}}
	if batches := engine.Batches(); !slices.Equal(batches, want) {
		t.Errorf("the node was told of %+v, want %+v", batches, want)
	}
}

func TestRefusedLineOfALaterPageIsNamed(t *testing.T) {
	t.Parallel()
	node := startDev(t, nil, "--ephemeral")
	file := queries(t, workflow.MaxStarts+1)
	appended, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = appended.WriteString("\n" + `{"query_id":17}` + "\n")
		_ = appended.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	got := at(node.URL, "run", "start", "embedding", "--inputs", file, "--in", "24h", "--id", newRun).run(t.Context())
	for _, want := range []string{"10000 runs are started", "--id " + newRun, "line 10003", `"query_id" must be a string`} {
		if got.code != exitRefused || !strings.Contains(got.stderr, want) {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
	list := at(node.URL, "run", "get", id(newRun).Offset(workflow.MaxStarts).String()).run(t.Context())
	if list.code != exitUnknown {
		t.Errorf("the run before the refused one: got %+v, want none", list)
	}
}

func TestPageWhoseAnswerWasLostIsRepeated(t *testing.T) {
	t.Parallel()
	engine := engineWithAll()
	api := server.Handler(engine, server.Config{})
	var calls atomic.Int32
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/StartRuns") && calls.Add(1) == 1 {
			api.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the runs are started, the answer is lost
		}
		api.ServeHTTP(w, r)
	}))
	defer node.Close()

	got := at(node.URL, "run", "start", "greet", "--inputs", "testdata/names.jsonl", "-o", "json").run(t.Context())

	var runs []startedRun
	if err := json.Unmarshal([]byte(got.stdout), &runs); err != nil || got.code != exitDone || len(runs) != 3 || !runs[0].Attached || !runs[2].Attached {
		t.Errorf("got %+v (%v), want the three of the first call", got, err)
	}
	if starts := engine.Starts(); len(starts) != 6 || starts[0].ID != starts[3].ID || starts[2].ID != starts[5].ID {
		t.Errorf("got starts %+v, want three with their ids twice", starts)
	}
}

func TestPageOfUnknownOutcomeSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	engine := engineWithAll()
	engine.Err = workflow.ErrOutcomeUnknown
	var stderr strings.Builder
	c := newCLI(strings.NewReader(""), io.Discard, &stderr, func(string) (string, bool) { return "", false })
	c.patience = 100 * time.Millisecond

	code := c.run(t.Context(), []string{"run", "start", "greet", "--inputs", "testdata/names.jsonl", "--id", newRun, "--address", serve(t, engine)})

	if want := "0 runs are started, and perhaps the next 3; repeat the command with --id " + newRun; code != exitUnknown || !strings.Contains(stderr.String(), want) {
		t.Errorf("got exit code %d, stderr %q, want %q", code, stderr.String(), want)
	}
}

func TestInputsThatAreNoLinesOfTextAreRefused(t *testing.T) {
	t.Parallel()
	address := serve(t, engineWithAll())
	for name, test := range map[string]struct{ inputs, want string }{
		"not UTF-8": {"{\"name\":\"Ada\"}\n{\"name\":\"\xff\"}\n", "-, line 2: is not UTF-8"},
		"too long":  {"{}\n\n" + strings.Repeat("x", workflow.MaxInput+2) + "\n", "-, line 3: is longer than 1048576 bytes"},
	} {
		call := at(address, "run", "start", "greet", "--inputs", "-")
		call.stdin = test.inputs
		if got := call.run(t.Context()); got.code != exitRefused || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%s: got %+v, want %q", name, got, test.want)
		}
	}
}

func TestProgressIsALineASecond(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &progress{view: newLiveView(&strings.Builder{}), out: &out, last: -1}
	p.reached(10)
	p.reached(20)
	p.said = p.said.Add(-time.Second)
	p.reached(30)
	p.end(30)
	p.end(40)
	if want := "10 runs started\n30 runs started\n40 runs started\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
