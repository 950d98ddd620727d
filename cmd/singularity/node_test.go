package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
)

// startNode starts a node as a process on a database and waits until it is ready.
// Other tests have nodes on this machine, too, at whose ports it may find itself:
// they are of clusters with other names.
func startNode(t *testing.T, database, instance string, args ...string) process {
	t.Helper()
	args = append([]string{"--cluster", clusterOf(t, database)}, args...)
	return startProcessOf(t, []string{"DATABASE_URL=" + database, "INSTANCE_ID=" + instance}, "node", args...)
}

// clusterOf names the cluster on a database.
func clusterOf(t *testing.T, database string) string {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	return config.Database
}

// members reads the registry through a node.
func (p process) members(t *testing.T) map[string]member {
	t.Helper()
	got := at(p.URL, "cluster", "members", "-o", "json").run(t.Context())
	var list []member
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil {
		t.Fatalf("cluster members: %+v: %v", got, err)
	}
	byName := map[string]member{}
	for _, m := range list {
		byName[m.Instance] = m
	}
	return byName
}

// metric reads one number of a node.
func (p process) metric(t *testing.T, name string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
			return value
		}
	}
	t.Fatalf("%s is not in\n%s", name, text)
	return ""
}

func TestNodesShareADatabase(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a, b := startNode(t, database, "a"), startNode(t, database, "b")
	started := at(a.URL, "run", "start", "embedding", "--wait", "-o", "json", "--id", newRun, "--input", `{"query_id":"q1","query":"hello"}`).run(t.Context())
	if started.code != exitDone {
		t.Fatalf("got %+v", started)
	}

	if got := at(b.URL, "run", "wait", newRun, "-o", "json").run(t.Context()); got != started {
		t.Errorf("the other node answers %.200v, want the same output", got)
	}
	found := b.members(t)
	for name, p := range map[string]process{"a": a, "b": b} {
		m := found[name]
		var can struct{ LLM, Embedding, Agents bool }
		if err := json.Unmarshal(m.Capabilities, &can); err != nil || !can.LLM || !can.Embedding || !can.Agents {
			t.Errorf("%s can do %s (%v), want what the built-in workflows do", name, m.Capabilities, err)
		}
		if m.Status != "online" || int(m.PID) != p.PID || m.LastHeartbeat.IsZero() {
			t.Errorf("got member %+v, want %s online as process %d", m, name, p.PID)
		}
	}
	if len(found) != 2 || found["a"].Boot == found["b"].Boot {
		t.Errorf("got members %+v, want two", found)
	}
}

func TestNodeFinishesTheRunsOfAKilledOne(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a := startNode(t, database, "a", "--simulated-latency", "1h")
	a.startSlowRun(t) // before anybody else is there to claim it
	b := startNode(t, database, "b")
	if got := at(b.URL, "run", "get", newRun).run(t.Context()); !strings.Contains(got.stdout, "running") {
		t.Errorf("the other node answers %+v, want a run that is running", got)
	}

	a.signal(t, syscall.SIGKILL)
	_ = a.Wait()

	got := at(b.URL, "run", "wait", newRun, "-o", "json").run(withTimeout(t))
	if got.code != exitDone || !strings.Contains(got.stdout, `"request_id":"r1"`) {
		t.Errorf("got %+v, want the run's output", got)
	}
	b.wantHistory(t)
	if takeovers := b.metric(t, `singularity_takeovers_total{ground="crashed"}`); takeovers != "1" {
		t.Errorf("the node counts %s takeovers, want 1", takeovers)
	}
	if found := b.members(t)["a"]; found.Status != "offline" {
		t.Errorf("got member %+v, want it offline", found)
	}
}

func TestNodesFindEachOtherAndPassMessagesOn(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a := startNode(t, database, "a", "--simulated-latency", "1h")
	a.startSlowRun(t) // before anybody else is there to claim it
	b, c := startNode(t, database, "b"), startNode(t, database, "c", "--gossip", "127.0.0.1:0", "--actors", "127.0.0.1:0")

	found := c.members(t)
	for name, p := range map[string]process{"a": a, "b": b, "c": c} {
		if m := found[name]; m.API != p.URL || m.Gossip == "" || m.Actors == "" {
			t.Errorf("got member %+v, want it to say where it is reached", m)
		}
	}
	for _, target := range []string{"a/dispatcher", found["a"].Actors + "/dispatcher", "run/" + newRun} {
		eventually(t, func() bool { // once they have found each other
			got := at(c.URL, "send", target, "ping", "-o", "json").run(t.Context())
			return got.code == exitDone && strings.Contains(got.stdout, `"node":"a"`)
		})
	}
	if got := at(b.URL, "send", "nobody/dispatcher", "ping").run(t.Context()); got.code != exitUnknown {
		t.Errorf("got %+v, want that nobody is unknown", got)
	}
	cancelled := at(b.URL, "send", "run/"+newRun, "cancel", "--payload", `{"reason":"enough"}`).run(t.Context())
	if cancelled.code != exitDone {
		t.Errorf("got %+v, want the run cancelled", cancelled)
	}
	eventually(t, func() bool { return a.metric(t, "singularity_runs_in_memory") == "0" })
}

func TestNodeHandsItsRunsOverWhenItStops(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	a := startNode(t, database, "a", "--simulated-latency", "1h")
	a.startSlowRun(t)
	b := startNode(t, database, "b")

	a.signal(t, syscall.SIGTERM)
	eventually(t, func() bool { return b.members(t)["a"].Status == "draining" })
	a.signal(t, syscall.SIGTERM)

	if err := a.Wait(); !a.ProcessState.Exited() {
		t.Errorf("the node ended with %v, want an orderly end", err)
	}
	got := at(b.URL, "run", "wait", newRun, "-o", "json").run(withTimeout(t))
	if got.code != exitDone {
		t.Errorf("got %+v, want the run's output", got)
	}
	b.wantHistory(t)
	run := at(b.URL, "run", "get", newRun, "-o", "json").run(t.Context())
	if !strings.Contains(run.stdout, `"crashes":0`) {
		t.Errorf("got %s, want no crash: it was handed over", run.stdout)
	}
}

func TestNodeIsLookedIntoAndDrainedThroughAnother(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	const latency = "25s" // longer than until the drain, and shorter than that gives it
	b := startNode(t, database, "b", "--simulated-latency", latency)
	b.startSlowRun(t) // before anybody else is there to claim it
	a, c := startNode(t, database, "a"), startNode(t, database, "c")
	tree := func(node string) result { return at(c.URL, "cluster", "actors", node).run(t.Context()) }
	for _, node := range []string{"a", "b"} { // once they have found each other
		eventually(t, func() bool { return tree(node).code == exitDone })
	}
	for node, has := range map[string]bool{"a": false, "b": true} {
		if got := tree(node); !strings.Contains(got.stdout, "dispatcher") || strings.Contains(got.stdout, newRun) != has {
			t.Errorf("got %+v as the tree of %s, want the run in it: %t", got, node, has)
		}
	}

	want := result{exitDone, `{"instance_id":"b","status":"draining"}` + "\n", ""}
	if got := at(c.URL, "cluster", "drain", "b", "-o", "json").run(withTimeout(t)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	eventually(t, func() bool { return c.members(t)["b"].Status == "draining" })
	if got := at(a.URL, "cluster", "drain", "b", "-o", "json").run(withTimeout(t)); got != want {
		t.Errorf("the second time: got %+v, want %+v", got, want)
	}

	if err := b.Wait(); err != nil {
		t.Errorf("the node ended with %v, want exit code 0", err)
	}
	if got := at(a.URL, "run", "wait", newRun, "-o", "json").run(withTimeout(t)); got.code != exitDone {
		t.Errorf("got %+v, want the run's output", got)
	}
	a.wantHistory(t)
	run := at(a.URL, "run", "get", newRun, "-o", "json").run(t.Context())
	if !strings.Contains(run.stdout, `"crashes":0`) {
		t.Errorf("got %s, want no crash: it was handed over", run.stdout)
	}
	var history []struct{ Owner string }
	steps := at(a.URL, "run", "steps", newRun, "-o", "json").run(t.Context())
	if err := json.Unmarshal([]byte(steps.stdout), &history); err != nil || history[0].Owner == history[len(history)-1].Owner {
		t.Errorf("got %s, %v; want another owner in the end", steps.stdout, err)
	}
}

func TestNodeMigratesWhenItIsTold(t *testing.T) {
	t.Parallel()
	database := testpostgres.Empty(t)
	p := startNode(t, database, "a", "--migrate")
	p.signal(t, os.Interrupt)
	if err := p.Wait(); err != nil {
		t.Errorf("the node ended with %v, want exit code 0", err)
	}
	if status := migrate(t, database, "status"); len(applied(status)) != len(status) {
		t.Errorf("got %+v, want all migrations applied", status)
	}
}

func TestNodeSaysWhatIsWrongWithADatabase(t *testing.T) {
	t.Parallel()
	direct := testpostgres.URL(t)
	faults := append(faultyDatabases(t),
		databaseFault{"no schema", testpostgres.Empty(t), exitRefused, []string{"migrate up", "--migrate"}},
		databaseFault{"pooler", testpostgres.Pooler(t, direct), exitRefused, []string{"--session-database-url"}},
	)
	for _, fault := range faults {
		fault.check(t, onDatabase(fault.url, "node", "--http", "127.0.0.1:0").run(withTimeout(t)))
	}
}

func TestNodeSaysWhatIsWrongWithItsSession(t *testing.T) {
	t.Parallel()
	direct := testpostgres.URL(t)
	for _, fault := range []databaseFault{
		{"nobody listens", nobodyListens, exitUnknown, []string{"--session-database-url", "cannot be reached"}},
		{"pooler", testpostgres.Pooler(t, direct), exitRefused, []string{"--session-database-url", "pooler"}},
	} {
		node := onDatabase(direct, "node", "--http", "127.0.0.1:0")
		node.env["SINGULARITY_SESSION_DATABASE_URL"] = fault.url
		fault.check(t, node.run(withTimeout(t)))
	}
}

func TestNodeRefusesTheNameOfALivingOne(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	startNode(t, database, "a")
	databaseFault{"name taken", "", exitRefused, []string{"--instance-id", "another id"}}.
		check(t, onDatabase(database, "node", "--http", "127.0.0.1:0", "--instance-id", "a").run(withTimeout(t)))
}

func TestNodeRunsBehindAPooler(t *testing.T) {
	t.Parallel()
	direct := testpostgres.URL(t)
	p := startNode(t, testpostgres.Pooler(t, direct), "a", "--session-database-url", direct)
	got := at(p.URL, "run", "start", "embedding", "--wait", "-o", "json", "--input", `{"query_id":"q1","query":"hello"}`).run(t.Context())
	if got.code != exitDone {
		t.Errorf("got %+v, want the run's output", got)
	}
}

func TestNodeKeepsNoAgentsOfItsOwn(t *testing.T) {
	t.Parallel()
	p := startNode(t, testpostgres.URL(t), "a")
	if got := at(p.URL, "agent", "list", "-o", "json").run(t.Context()); got != (result{exitDone, "[]\n", ""}) {
		t.Errorf("got %+v, want none: the example agents are dev's", got)
	}
	unknown := at(p.URL, "run", "start", "agent_coordination", "--wait", "--input",
		`{"message_id":"m1","source_agent":"echo","target_agent":"scribe","message_type":"note","payload":{}}`).run(t.Context())
	if unknown.code != exitRefused || !strings.Contains(unknown.stderr, "echo") {
		t.Errorf("got %+v, want a failed run that names the agent", unknown)
	}
}
