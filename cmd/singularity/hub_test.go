package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

func TestNodeTellsItsHubAndLearnsFromIt(t *testing.T) {
	t.Parallel()
	database, hub := testpostgres.URL(t), testpostgres.URL(t)
	if _, err := pgmq.MigrateUp(t.Context(), hub); err != nil {
		t.Fatal(err)
	}
	// Nothing is told or asked but when the test says so.
	node := startNode(t, database, "one", "--centralcloud-database-url", hub, "--results-every", "1h", "--learnings-every", "1h")
	asked := at(node.URL, "run", "start", "llm_request", "--wait", "-o", "json", "--input",
		`{"request_id":"r1","task_type":"chat","messages":[{"role":"user","content":"hello"}]}`).run(t.Context())
	if asked.code != exitDone {
		t.Fatalf("%+v", asked)
	}
	flushed := at(node.URL, "send", "one/sync", "flush").run(t.Context())
	if flushed.code != exitDone || !strings.Contains(flushed.stdout, `"counters":1`) {
		t.Errorf("flush: %+v", flushed)
	}

	conn, err := pgx.Connect(t.Context(), hub)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var update struct {
		Instance string `json:"instance_id"`
		Jobs     int    `json:"job_count"`
		Counters []struct {
			TaskType string `json:"task_type"`
			Revision int    `json:"revision"`
		} `json:"counters"`
	}
	var body []byte
	const results = `SELECT message FROM pgmq.q_centralcloud_updates WHERE message->>'type' = 'results'`
	if err := conn.QueryRow(t.Context(), results).Scan(&body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &update); err != nil {
		t.Fatal(err)
	}
	if update.Instance != "one" || update.Jobs != 1 || len(update.Counters) != 1 || update.Counters[0].TaskType != "chat" || update.Counters[0].Revision != 1 {
		t.Errorf("the hub has %s, want one call of one", body)
	}

	const lesson = `SELECT pgmq.send('instance_learning_one', '{"type":"model_routing","version":3,"routing_rules":{"version":3,"rows":[]}}')`
	if _, err := conn.Exec(t.Context(), lesson); err != nil {
		t.Fatal(err)
	}
	// The look with which the node began may have found it already.
	if learnt := at(node.URL, "send", "learnings", "flush").run(t.Context()); learnt.code != exitDone {
		t.Errorf("flush: %+v", learnt)
	}
	if version := node.metric(t, "singularity_centralcloud_policy_version"); version != "3" {
		t.Errorf("the policy has version %s, want 3", version)
	}
}

// countedByHub adds up what a hub keeps of all rows, and counts those of one node.
const countedByHub = `
SELECT coalesce(sum(latest.revision), 0), count(*) FILTER (WHERE latest.instance = 'dying')
FROM (
	SELECT max((entry ->> 'revision')::integer) AS revision, entry ->> 'instance_id' AS instance
	FROM pgmq.q_centralcloud_updates, jsonb_array_elements(message -> 'counters') AS entry
	GROUP BY entry -> 'boot_id', entry -> 'epoch', entry -> 'task_type', entry -> 'complexity_bucket', entry -> 'provider', entry -> 'model', entry ->> 'instance_id'
) AS latest`

func TestCallsOfAKilledNodeReachTheHub(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	if _, err := pgmq.MigrateUp(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	dying := startNode(t, database, "dying", "--centralcloud-database-url", database)
	other := startNode(t, database, "other", "--centralcloud-database-url", database)
	const calls = 5
	for i := range calls {
		input := fmt.Sprintf(`{"request_id":"r%d","task_type":"chat","messages":[{"role":"user","content":"hello"}]}`, i)
		if got := at(dying.URL, "run", "start", "llm_request", "--wait", "--input", input).run(t.Context()); got.code != exitDone {
			t.Fatalf("%+v", got)
		}
	}
	dying.signal(t, syscall.SIGKILL)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	records, ofTheDead := 0, 0
	eventually(t, func() bool {
		if got := at(other.URL, "send", "other/sync", "flush").run(t.Context()); got.code != exitDone {
			t.Fatalf("%+v", got)
		}
		if err := conn.QueryRow(t.Context(), countedByHub).Scan(&records, &ofTheDead); err != nil {
			t.Fatal(err)
		}
		return records >= calls
	})
	if records != calls || ofTheDead == 0 {
		t.Errorf("the hub has %d calls, and %d rows of the dead node; want %d calls, some of them its", records, ofTheDead, calls)
	}
}

func TestFlagsOfTheHubAreChecked(t *testing.T) {
	t.Parallel()
	for flags, says := range map[string]string{
		"--centralcloud-database-url postgres://a@b/c --results-every 0s":    "--results-every 0s: expected a time above 0",
		"--centralcloud-database-url postgres://a@b/c --learnings-every -1s": "--learnings-every -1s: expected a time above 0",
		"--centralcloud-database-url postgres://a:x@b:port/c":                "--centralcloud-database-url: ",
	} {
		args := append([]string{"node", "--database-url", "postgres://a@127.0.0.1:1/c", "--http", "127.0.0.1:0"}, strings.Fields(flags)...)
		got := call{args: args}.run(withTimeout(t))
		if got.code == 0 || !strings.Contains(got.stderr, says) {
			t.Errorf("%s: %+v, want one saying %q", flags, got, says)
		}
	}
}
