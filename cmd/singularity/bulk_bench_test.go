package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/server"
	"singularity/workflow"
)

// line is an input of 150 bytes or so.
type line struct {
	ID      string `json:"id"`
	Padding string `json:"padding"`
}

// BenchmarkRunStart starts runs 10,000 at a time, by calls of the API and by a file
// of the command, with and without a key of each. An operation is one run; client,
// node and Postgres share the machine. None of them begins.
func BenchmarkRunStart(b *testing.B) {
	node, engine := startBulkNode(b)
	if _, _, err := engine.PauseQueue(b.Context(), "default"); err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name  string
		start func(b *testing.B, node, name string, inputs []string)
	}{{"api", startByAPI}, {"cli", startByCommand}} {
		for _, name := range []string{"plain", "keyed"} {
			b.Run(way.name+"/"+name, func(b *testing.B) {
				inputs := make([]string, b.N)
				for i := range inputs {
					document, err := json.Marshal(line{workflow.NewRunID().String(), strings.Repeat("x", 90)})
					if err != nil {
						b.Fatal(err)
					}
					inputs[i] = string(document)
				}
				b.ResetTimer()
				way.start(b, node, name, inputs)
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
			})
		}
	}
}

func startBulkNode(b *testing.B) (url string, engine *singularity.Engine) {
	b.Helper()
	work := workflow.Do("work", func(context.Context, *line) error { return nil })
	engine, err := singularity.Open(b.Context(), singularity.Config{DatabaseURL: testpostgres.URL(b), Logger: slog.New(slog.DiscardHandler)},
		workflow.New("plain", work), workflow.New("keyed", work).Key(func(l line) string { return l.ID }))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	node := httptest.NewServer(server.Handler(engine, server.Config{Logger: slog.New(slog.DiscardHandler)}))
	b.Cleanup(node.Close)
	return node.URL, engine
}

func startByAPI(b *testing.B, node, name string, inputs []string) {
	b.Helper()
	runs := messagesconnect.NewRunServiceClient(http.DefaultClient, node)
	for len(inputs) > 0 {
		page := inputs[:min(len(inputs), workflow.MaxStarts)]
		request := &messages.StartRunsRequest{}
		for _, input := range page {
			request.Runs = append(request.Runs, &messages.StartRunRequest{Workflow: name, InputJson: input})
		}
		response, err := runs.StartRuns(b.Context(), request)
		if err != nil || len(response.GetRuns()) != len(page) {
			b.Fatalf("%d runs, %v", len(response.GetRuns()), err)
		}
		inputs = inputs[len(page):]
	}
}

func startByCommand(b *testing.B, node, name string, inputs []string) {
	b.Helper()
	b.StopTimer()
	file := filepath.Join(b.TempDir(), "inputs.jsonl")
	if err := os.WriteFile(file, []byte(strings.Join(inputs, "\n")), 0o600); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
	if got := at(node, "run", "start", name, "--inputs", file).run(b.Context()); got.code != exitDone {
		b.Fatalf("got %+v", got)
	}
}
