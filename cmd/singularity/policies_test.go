package main

import (
	"encoding/json"
	"strings"
	"testing"

	"singularity/centralcloud"
	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

// The table would choose the small model for a classifier.
const largeForAll = `{"type":"model_routing","version":7,"routing_rules":{"version":7,"rows":[{"task_type":"*","complexity_bucket":-1,
	"arms":[{"provider":"simulated","model":"simulated-large","weight":1,"why":"the test says so"}],
	"fallback":[{"provider":"simulated","model":"simulated-small"}]}]}}`

func TestNodeChoosesModelsByWhatTheHubTeaches(t *testing.T) {
	t.Parallel()
	database := testpostgres.URL(t)
	if _, err := pgmq.MigrateUp(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	queue, err := pgmq.Connect(t.Context(), pgmq.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = queue.Close() })
	node := startNode(t, database, "one", "--provider", "simulated", "--centralcloud-database-url", database)
	if got := at(node.URL, "send", "learnings", "flush").run(withTimeout(t)); got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
	if _, err := queue.Send(t.Context(), centralcloud.DownQueue("one"), centralcloud.Draft{Body: json.RawMessage(largeForAll)}); err != nil {
		t.Fatal(err)
	}
	if got := at(node.URL, "send", "learnings", "flush").run(withTimeout(t)); got.code != exitDone {
		t.Fatalf("got %+v", got)
	}

	got := at(node.URL, "run", "start", "llm_request", "--wait", "-o", "json", "--input",
		`{"request_id":"r1","task_type":"classifier","messages":[{"role":"user","content":"Is this spam?"}]}`).run(withTimeout(t))
	if got.code != exitDone || !strings.Contains(got.stdout, `"model":"simulated-large"`) {
		t.Errorf("got %+v, want the model that the hub teaches", got)
	}
	if chosen := node.metric(t, `singularity_model_choices_total{by="policy",model="simulated-large",provider="simulated"}`); chosen != "1" {
		t.Errorf("%s choices by the policy are counted, want 1", chosen)
	}
}
