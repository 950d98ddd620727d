package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"singularity/internal/testpostgres"
	"singularity/workflow"
)

// queues lists the queues through a node.
func (p process) queues(t *testing.T) map[string]queue {
	t.Helper()
	got := at(p.URL, "queue", "list", "-o", "json").run(t.Context())
	var list []queue
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || got.code != exitDone {
		t.Fatalf("queue list: %+v: %v", got, err)
	}
	byName := map[string]queue{}
	for _, q := range list {
		byName[q.Name] = q
	}
	return byName
}

func TestWhatIsSaidOfAQueueHoldsOnEveryNode(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a := startNode(t, database, "a")
	for _, line := range []string{"queue pause metrics", "queue set metrics --global-limit 7 --rate 300/m"} {
		if got := at(a.URL, strings.Fields(line)...).run(t.Context()); got.code != exitDone || got.stderr != "" {
			t.Fatalf("%s: got %+v", line, got)
		}
	}

	b := startNode(t, database, "b")
	started := at(b.URL, "run", "start", "embedding", "--queue", "metrics", "--id", newRun, "--input", `{"query_id":"q1","query":"hello"}`).run(t.Context())
	if started.code != exitDone || !strings.Contains(started.stdout, "available") {
		t.Errorf("a run of the paused queue: got %+v, want it available", started)
	}
	found := b.queues(t)
	metrics := found["metrics"]
	if metrics.PausedAt == nil || metrics.Available != 1 || metrics.Running != 0 || metrics.Settings.GlobalLimit != 7 || metrics.Settings.Rate != 5 {
		t.Errorf("the other node has %+v", metrics)
	}
	for _, name := range []string{"default", "training", "pattern_mining"} {
		if q, there := found[name]; !there || q.PausedAt != nil {
			t.Errorf("queue %s is %+v (there: %t), want it as it was", name, q, there)
		}
	}
	if again := at(b.URL, "queue", "pause", "metrics").run(t.Context()); again.code != exitDone || !strings.Contains(again.stderr, "was paused before") {
		t.Errorf("paused again: got %+v", again)
	}

	if resumed := at(b.URL, "queue", "resume", "metrics").run(t.Context()); resumed.code != exitDone || resumed.stderr != "" {
		t.Errorf("resumed: got %+v", resumed)
	}
	if ended := at(a.URL, "run", "wait", newRun).run(t.Context()); ended.code != exitDone {
		t.Errorf("the run: got %+v, want it completed", ended)
	}
}

func TestSettingsThatDoNotGoTogetherAreRefused(t *testing.T) {
	t.Parallel()
	node := startDev(t, nil, "--ephemeral")
	for line, want := range map[string]string{
		"queue set default --key-limit 2":  `"key_limit" needs a key_path`,
		"queue set default --burst 2":      `"burst" needs a rate`,
		"queue set default --key items[x]": `"key_path" is "items[x]"`,
	} {
		if got := at(node.URL, strings.Fields(line)...).run(t.Context()); got.code != exitRefused || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: got %+v, want %q", line, got, want)
		}
	}
}

func TestRunsOfAFileGetTheKeysOfTheirQueue(t *testing.T) {
	t.Parallel()
	node := startDev(t, nil, "--ephemeral")
	inputs := at(node.URL, "run", "start", "embedding", "--inputs", "-", "--queue", "metrics", "--id", newRun)
	inputs.stdin = `{"query_id":"ada","query":"one"}` + "\n" + `{"query_id":"bob","query":"two"}` + "\n"
	for _, call := range []call{at(node.URL, "queue", "set", "metrics", "--key", "query_id", "--key-limit", "1"), inputs} {
		if got := call.run(t.Context()); got.code != exitDone {
			t.Fatalf("got %+v", got)
		}
	}
	var keys []string
	for i := range 2 {
		run := id(newRun).Offset(i).String()
		if got := at(node.URL, "run", "wait", run).run(t.Context()); got.code != exitDone {
			t.Errorf("got %+v, want the run completed", got)
		}
		var row struct {
			LimitKey string `json:"limit_key"`
		}
		got := at(node.URL, "run", "get", run, "-o", "json").run(t.Context())
		if err := json.Unmarshal([]byte(got.stdout), &row); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, row.LimitKey)
	}
	if !slices.Equal(keys, []string{"ada", "bob"}) {
		t.Errorf("the keys are %q", keys)
	}
}

func TestQueueThatNobodyKnewIsSaidToBeNew(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a := startNode(t, database, "a")
	startNode(t, database, "b", "--queues", "default=1,mail=2")
	for _, test := range []struct{ line, stderr, stdout string }{
		{"queue pause mail -o json", "", `"new":false`},
		{"queue resume mial -o json", "warning: no node works queue mial", `"changed":false,"new":true`},
		{"queue pause mial -o json", "warning: no node works queue mial; it is made by this", `"changed":true,"new":true`},
		{"queue pause mial -o json", "queue mial was paused before", `"changed":false,"new":false`},
		{"queue set liam --rate 5/s -o json", "warning: no node works queue liam; it is made by this", `"new":true`},
		{"queue set liam --rate 6/s -o json", "", `"new":false`},
	} {
		got := at(a.URL, strings.Fields(test.line)...).run(t.Context())
		if got.code != exitDone || !strings.HasPrefix(got.stderr, test.stderr) || (got.stderr == "") != (test.stderr == "") || !strings.Contains(got.stdout, test.stdout) {
			t.Errorf("%s: got %+v, want %q and %q", test.line, got, test.stderr, test.stdout)
		}
	}
}

func TestQueuesSayForHowLongTheyKeepRuns(t *testing.T) {
	t.Parallel()
	node := startDev(t, nil, "--ephemeral", "--retain", "completed=6h,metrics/failed=1h")
	if got := at(node.URL, "queue", "set", "training", "--retain-completed", "90d").run(t.Context()); got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
	found := process{URL: node.URL}.queues(t)
	for queue, want := range map[string][2]float64{"default": {6, 7 * 24}, "metrics": {6, 1}, "training": {90 * 24, 7 * 24}} {
		kept := found[queue].KeptSeconds
		if kept[workflow.Completed] != want[0]*3600 || kept[workflow.Failed] != want[1]*3600 {
			t.Errorf("%s keeps runs for %v seconds, want %v hours for completed and failed ones", queue, kept, want)
		}
	}
}

func TestRunInAPausedQueueFailsAtItsDeadline(t *testing.T) {
	t.Parallel()
	node := startDev(t, nil, "--data-dir", t.TempDir())
	for _, line := range []string{"queue pause default", "run start embedding --deadline 300ms --id " + newRun + ` --input {"query_id":"q1","query":"hello"}`} {
		if got := at(node.URL, strings.Fields(line)...).run(t.Context()); got.code != exitDone {
			t.Fatalf("%s: got %+v", line, got)
		}
	}
	if ended := at(node.URL, "run", "wait", newRun).run(t.Context()); ended.code != exitRefused || !strings.Contains(ended.stderr, "deadline") {
		t.Errorf("got %+v, want the run failed at its deadline", ended)
	}
	for _, line := range []string{"run retry " + newRun, "queue resume default", "run wait " + newRun} {
		if got := at(node.URL, strings.Fields(line)...).run(t.Context()); got.code != exitDone {
			t.Errorf("%s: got %+v", line, got)
		}
	}
}

func TestCountsThatEndedAtTheirBoundSaySo(t *testing.T) {
	t.Parallel()
	for count, want := range map[int]string{0: "0", workflow.MostCounted - 1: "99999", workflow.MostCounted: "100000+"} {
		if got := countText(count); got != want {
			t.Errorf("%d is shown as %s, want %s", count, got, want)
		}
	}
}
