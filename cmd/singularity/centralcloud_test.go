package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
	"singularity/centralcloud/sqlite"
	"singularity/internal/testpostgres"
)

// often has a node and its hub speak to each other all the time.
// It logs each policy that it is taught, and not the first alone.
var often = []string{"--results-every", "50ms", "--learnings-every", "50ms", "--log-level", "debug"}

// ask has a node make some calls of a task.
func (p process) ask(t *testing.T, task string, calls int) {
	t.Helper()
	var inputs strings.Builder
	for i := range calls {
		fmt.Fprintf(&inputs, `{"request_id":"%s-%s-%d","task_type":"%s","messages":[{"role":"user","content":"%d"}]}`+"\n", p.URL, task, i, task, i)
	}
	file := filepath.Join(t.TempDir(), "inputs.jsonl")
	if err := os.WriteFile(file, []byte(inputs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := at(p.URL, "run", "start", "llm_request", "--inputs", file).run(t.Context()); got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
}

// calls is how many judged calls of a task the hub's policy rests on.
func calls(t *testing.T, task string, hub ...string) (sum int64) {
	t.Helper()
	got := at("", append([]string{"centralcloud", "policy", "-o", "json"}, hub...)...).run(t.Context())
	var policy centralcloud.Policy
	if got.code != exitDone || json.Unmarshal([]byte(got.stdout), &policy) != nil {
		return 0
	}
	for _, row := range policy.Rows {
		if row.TaskType == task && row.Bucket == centralcloud.AnyBucket {
			for _, arm := range row.Arms {
				sum += arm.N
			}
		}
	}
	return sum
}

func TestDevIsAHubThatLearns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	hub := []string{"--data-dir", dir}
	if got := at("", append([]string{"centralcloud", "policy"}, hub...)...).run(t.Context()); got.code != exitUsage || !strings.Contains(got.stderr, "singularity dev --centralcloud") {
		t.Errorf("without a hub: %+v, want advice", got)
	}
	node := startProcess(t, append(append([]string{"--centralcloud", "--learn-every", "50ms", "--patterns-every", "50ms"}, often...), hub...)...)
	node.ask(t, "math", 20)
	eventually(t, func() bool { return calls(t, "math", hub...) == 20 })

	explained := at("", append([]string{"centralcloud", "explain", "math", "2"}, hub...)...).run(t.Context())
	for _, word := range []string{"simulated/simulated-small", "simulated/simulated-large", "JUDGED CALLS", "within 0.03 of the reference"} {
		if !strings.Contains(explained.stdout, word) {
			t.Errorf("explain says %q, want %q in it", explained.stdout, word)
		}
	}
	if got := at("", append([]string{"centralcloud", "policy", "1000000"}, hub...)...).run(t.Context()); got.code != exitUnknown {
		t.Errorf("a version that there is not: %+v", got)
	}
	if got := at("", append([]string{"centralcloud", "explain", "math", "3"}, hub...)...).run(t.Context()); got.code != exitUsage {
		t.Errorf("a bucket that there is not: %+v", got)
	}
	eventually(t, func() bool { return node.log.has("learned from the hub", "model_routing") })

	benchmarks := append([]string{"centralcloud", "benchmarks", "math"}, hub...)
	eventually(t, func() bool {
		return strings.Contains(at("", benchmarks...).run(t.Context()).stdout, "simulated/simulated-")
	})
	if got := at("", append(benchmarks, "-o", "json")...).run(t.Context()); !strings.Contains(got.stdout, `"ci95":[`) {
		t.Errorf("benchmarks: %+v, want intervals", got)
	}
	if got := at("", append([]string{"centralcloud", "patterns", "-o", "json"}, hub...)...).run(t.Context()); got.code != exitDone || got.stdout != "[]\n" {
		t.Errorf("patterns: %+v, want none", got)
	}
	eventually(t, func() bool { return node.log.has("learned from the hub", "performance_benchmark") })
	eventually(t, func() bool { return node.log.has("learned from the hub", "cost_optimization") })
	shown := at(node.URL, "send", "learnings", "show").run(t.Context())
	for _, part := range []string{`"savings":{"estimated_savings":{`, `"advice":"`, `"models":{"math":`} {
		if !strings.Contains(shown.stdout, part) {
			t.Errorf("the node shows %q, %q; want %s in it", shown.stdout, shown.stderr, part)
		}
	}
	if got := at("", append([]string{"centralcloud", "savings", "math"}, hub...)...).run(t.Context()); !strings.Contains(got.stdout, "math") {
		t.Errorf("savings: %+v, want those of math", got)
	}
}

func TestPatternsSayWhatStandsOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	lead, err := store.Lead(t.Context(), "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	finding := patterns.Finding{
		Kind: patterns.FailingStep, Name: "failing_step:w:a:p/m", N: 120, Value: 0.25, Interval: [2]float64{0.1, 0.4}, Threshold: 0.02,
		Unit: "share of calls", FirstSeen: time.Unix(1_700_000_000, 0).UTC(), Rule: 1, Text: "step w/a fails", Workflow: "w", Step: "a",
		Arm: centralcloud.Arm{Provider: "p", Model: "m"},
	}
	changes, err := patterns.Changes(nil, []patterns.Finding{finding}, patterns.Benchmarks{}, lead.At)
	if err == nil {
		err = store.Teach(t.Context(), lead, changes, nil, nil)
	}
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	want := `KIND          CALLS  VALUE  INTERVAL  UNIT            FIRST SEEN            RULE  WHAT
failing_step  120    0.25   0.1-0.4   share of calls  2023-11-14T22:13:20Z  1     step w/a fails
`
	if got := at("", "centralcloud", "patterns", "--data-dir", dir).run(t.Context()); got.code != exitDone || got.stdout != want {
		t.Errorf("got %+v, want\n%s", got, want)
	}
	got := at("", "centralcloud", "patterns", "--data-dir", dir, "-o", "json").run(t.Context())
	var listed []patterns.Finding
	if err := json.Unmarshal([]byte(got.stdout), &listed); err != nil || !reflect.DeepEqual(listed, []patterns.Finding{finding}) {
		t.Errorf("got %s, %v, want %+v", got.stdout, err, finding)
	}
	if got := at("", "centralcloud", "benchmarks", "--data-dir", dir, "-o", "json").run(t.Context()); got.code != exitDone || !strings.Contains(got.stdout, `"models":[]`) {
		t.Errorf("benchmarks: %+v, want none", got)
	}
}

// awaitPolicy waits until a node chooses by a policy. It may have it from the
// database, where another node put what it had learned.
func (p process) awaitPolicy(t *testing.T) {
	t.Helper()
	eventually(t, func() bool {
		return strings.Contains(at(p.URL, "send", "learnings", "show").run(t.Context()).stdout, `"policy":{"version":`)
	})
}

func TestHubOfItsOwnLearnsFromNodesOfACluster(t *testing.T) {
	t.Parallel()
	database, hubDatabase := testpostgres.URL(t), testpostgres.Empty(t)
	hub := []string{"--centralcloud-database-url", hubDatabase}
	if got := at("", append([]string{"centralcloud", "--provider", "simulated"}, hub...)...).run(t.Context()); got.code == exitDone || !strings.Contains(got.stderr, "centralcloud --migrate") {
		t.Errorf("on a database without a schema: %+v, want advice", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 2 { // of which one leads
		running.Go(func() {
			got := at("", append([]string{"centralcloud", "--migrate", "--provider", "simulated", "--learn-every", "50ms"}, hub...)...).run(ctx)
			if got.code != exitDone {
				t.Errorf("the hub ended with %+v", got)
			}
		})
	}
	a := startNode(t, database, "a", append(often, hub...)...)
	b := startNode(t, database, "b", append(often, hub...)...)
	a.ask(t, "math", 30)
	b.ask(t, "chat", 10)
	eventually(t, func() bool { return calls(t, "math", hub...) == 30 && calls(t, "chat", hub...) == 10 })
	for _, node := range []process{a, b} {
		node.awaitPolicy(t)
	}
	cancel()
	running.Wait()
	if got := at(a.URL, "run", "start", "llm_request", "--wait", "--input", slowRequest).run(t.Context()); got.code != exitDone {
		t.Errorf("without the hub: %+v, want an answer", got)
	}
}

func TestHubSaysWhatIsWrongWithItsFlags(t *testing.T) {
	t.Parallel()
	rules := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(rules, []byte(`{"rule":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, says string }{
		{"dev --ephemeral --centralcloud", "--data-dir"},
		{"dev --centralcloud --reference simulated/none", `--reference "simulated/none"`},
		{"dev --centralcloud --mode cheap", "mode"},
		{"dev --centralcloud --mode budget", "hourly_budget"},
		{"dev --centralcloud --delta 0", "--delta 0"},
		{"dev --centralcloud --rules " + rules, "rule"},
		{"dev --centralcloud --learn-every 0s", "--learn-every"},
		{"dev --centralcloud --patterns-every -1s", "--patterns-every"},
		{"dev --centralcloud --results-every 0s", "--results-every"},
		{"centralcloud", "--centralcloud-database-url"},
	} {
		args := strings.Fields(test.args)
		if args[0] == "dev" {
			args = append(args, "--http", "127.0.0.1:0")
			if args[1] != "--ephemeral" {
				args = append(args, "--data-dir", t.TempDir())
			}
		}
		if got := at("", args...).run(withTimeout(t)); got.code == exitDone || !strings.Contains(got.stderr, test.says) {
			t.Errorf("%s: %+v, want %q in what it says", test.args, got, test.says)
		}
	}
}
