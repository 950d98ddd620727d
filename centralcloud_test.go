package singularity_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"singularity"
	"singularity/centralcloud"
	"singularity/centralcloud/hubtest"
	"singularity/centralcloud/pgmq"
	"singularity/centralcloud/sqlite"
	"singularity/internal/testpostgres"
	"singularity/workflow"
)

// hubs are the queues that a hub may have, and where an engine beside it keeps its
// runs.
var hubs = map[string]func(t *testing.T) (centralcloud.Queue, singularity.Config){
	"SQLite": func(t *testing.T) (centralcloud.Queue, singularity.Config) {
		dir := t.TempDir()
		queue, err := sqlite.Open(t.Context(), filepath.Join(dir, "hub"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = queue.Close() })
		return queue, singularity.Config{DataDir: dir}
	},
	"Postgres": func(t *testing.T) (centralcloud.Queue, singularity.Config) {
		url := testpostgres.URL(t)
		if _, err := pgmq.MigrateUp(t.Context(), url); err != nil {
			t.Fatal(err)
		}
		queue, err := pgmq.Connect(t.Context(), pgmq.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = queue.Close() })
		return queue, singularity.Config{DatabaseURL: url}
	},
}

// asks calls a model, in vain at first, and then in a transaction where the store
// has them.
func asks(transactional bool) *workflow.Workflow[tally, tally] {
	record := func(ctx context.Context, class string) {
		workflow.Record(ctx, "model_call", centralcloud.Call{
			Arm: centralcloud.Arm{Provider: "p", Model: "m"}, TaskType: "chat", ErrorClass: class, Propensity: 1,
		})
	}
	last := workflow.Do("last", func(ctx context.Context, _ *tally) error {
		record(ctx, "")
		return nil
	})
	if transactional {
		last = last.Transactional()
	}
	return workflow.New("asks", workflow.Do("first", func(ctx context.Context, _ *tally) error {
		if workflow.FromContext(ctx).Number == 1 {
			record(ctx, "overload")
			return workflow.RetryAfter(errors.New("overloaded"), time.Millisecond)
		}
		record(ctx, "")
		workflow.Summarize(ctx, workflow.Summary{Model: "m", Tokens: 3})
		return nil
	}), last)
}

// flush sends or reads now, and decodes what was done.
func flush(t *testing.T, engine *singularity.Engine, pid string) map[string]int {
	t.Helper()
	reply, err := engine.Send(t.Context(), pid, "flush", nil)
	if err != nil {
		t.Fatal(err)
	}
	var done map[string]int
	if err := json.Unmarshal(reply, &done); err != nil {
		t.Fatalf("%s: %v", reply, err)
	}
	return done
}

// counted reads all updates and adds up what a hub keeps of them.
func counted(t *testing.T, queue centralcloud.Queue) (records int64, sum centralcloud.Counters) {
	t.Helper()
	messages, err := queue.Read(t.Context(), centralcloud.UpQueue, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var rows []centralcloud.Row
	for _, message := range slices.Concat(messages, messages) {
		var update centralcloud.Update
		if err := json.Unmarshal(message.Body, &update); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, update.Counters...)
	}
	for _, row := range hubtest.Kept(rows) {
		records += row.Revision
		sum.Merge(row.Counters)
	}
	return records, sum
}

func TestEngineTellsItsHubAndLearnsFromIt(t *testing.T) {
	t.Parallel()
	for name, open := range hubs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, cfg := open(t)
			cfg.CentralCloud = singularity.CentralCloud{Queue: queue, ResultsEvery: time.Hour} // but when the test says so
			cfg.Instance, cfg.Logger = "one", quiet
			flow := asks(cfg.DatabaseURL != "")
			engine, err := singularity.Open(t.Context(), cfg, flow)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				run, err := flow.Start(t.Context(), engine, tally{})
				if err != nil {
					t.Fatal(err)
				}
				wait(t, engine, run)
			}
			if done := flush(t, engine, "sync"); done["messages"] != 1 || done["boots"] != 1 {
				t.Errorf("flushed %v, want one message", done)
			}
			if done := flush(t, engine, "one/sync"); done["messages"] != 0 {
				t.Errorf("flushed %v a second time", done)
			}
			if records, sum := counted(t, queue); records != 9 || sum.Calls != 6 || sum.Errors["overload"] != 3 {
				t.Errorf("%d records are counted, %+v; want 9, 3 of them failures", records, sum)
			}
			if engine.Policy() != nil {
				t.Error("there is a policy that nobody taught")
			}
			teach(t, queue, `{"type":"model_routing","version":7,"routing_rules":{"version":7,"rows":[]}}`)
			flush(t, engine, "learnings")
			if policy := engine.Policy(); policy == nil || policy.Version != 7 {
				t.Errorf("policy %+v, want version 7", policy)
			}
			metrics := scrape(t, engine)
			for name, want := range map[string]float64{
				"singularity_centralcloud_result_messages_total":   1,
				"singularity_centralcloud_results_lag_seconds":     0,
				"singularity_centralcloud_learnings_applied_total": 1,
				"singularity_centralcloud_learnings_dead_total":    0,
				"singularity_centralcloud_policy_version":          7,
			} {
				if got, found := metrics[name]; !found || got != want {
					t.Errorf("%s is %v, %t; want %v", name, got, found, want)
				}
			}

			run, err := flow.Start(t.Context(), engine, tally{})
			if err != nil {
				t.Fatal(err)
			}
			wait(t, engine, run)
			closeEngine(t, engine)
			if records, _ := counted(t, queue); records != 12 {
				t.Errorf("%d records are counted after the engine has closed, want 12", records)
			}
			engine, err = singularity.Open(t.Context(), cfg, flow)
			if err != nil {
				t.Fatal(err)
			}
			defer closeEngine(t, engine)
			if policy := engine.Policy(); policy == nil || policy.Version != 7 || len(engine.Learned().Versions()) != 1 {
				t.Errorf("after a restart the policy is %+v, want version 7", policy)
			}

			for _, value := range []float64{0.25, 0.75, 0.75} {
				scored, err := engine.Score(t.Context(), run.ID(), workflow.Score{Name: "quality", Value: value})
				if err != nil || scored.Scores["quality"] != value || len(scored.Scores) != 1 {
					t.Fatalf("scored %+v, %v", scored, err)
				}
				flush(t, engine, "sync")
			}
			if records, sum := counted(t, queue); records != 12 || sum.Judged != 8 || sum.Scored != 1 || sum.ScoredQuality != 750_000 {
				t.Errorf("%d records are counted, %+v; want 12, and a score of 0.75 for a call of the former process", records, sum)
			}
			steps, err := engine.Steps(t.Context(), run.ID())
			if err != nil || steps[2].Facts[0].Scores["quality"] != 0.75 {
				t.Errorf("steps %+v, %v; want the score with the last call", steps, err)
			}
		})
	}
}

// teach sends a message to engine one.
func teach(t *testing.T, queue centralcloud.Queue, body string) {
	t.Helper()
	_, err := queue.Send(t.Context(), centralcloud.DownQueue("one"), centralcloud.Draft{Body: json.RawMessage(body)})
	if err != nil {
		t.Fatal(err)
	}
}

// noHub is the queues of a hub that cannot be reached.
func noHub(t *testing.T) centralcloud.Queue {
	t.Helper()
	queue, err := pgmq.Connect(t.Context(), pgmq.Config{URL: "postgres://nobody@127.0.0.1:1/nothing"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = queue.Close() })
	return queue
}

func TestEngineOpensWithoutItsHub(t *testing.T) {
	t.Parallel()
	flow := asks(false)
	engine := open(t, singularity.Config{CentralCloud: singularity.CentralCloud{Queue: noHub(t)}}, flow)
	run, err := flow.Start(t.Context(), engine, tally{})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, engine, run)
	if _, err := engine.Send(t.Context(), "sync", "flush", nil); !errors.Is(err, workflow.ErrUnavailable) {
		t.Errorf("flush: %v, want one that says that the hub is away", err)
	}
}
