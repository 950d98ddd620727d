package workflow_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"singularity/workflow"
)

func TestTerminalStates(t *testing.T) {
	t.Parallel()
	terminal := []workflow.State{workflow.Completed, workflow.Failed, workflow.Cancelled, workflow.Quarantined}
	for _, state := range workflow.States {
		if got, want := state.Terminal(), slices.Contains(terminal, state); got != want {
			t.Errorf("%s is terminal: %t, want %t", state, got, want)
		}
	}
}

// Scripts read these documents: their names are a contract.
func TestRunsReadAsJSON(t *testing.T) {
	t.Parallel()
	id, err := workflow.ParseRunID("0195a3f2-7c1d-7e5a-9b3c-0123456789ab")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{
			"run", workflow.Run{
				ID: id, Workflow: "w", Version: 2, State: workflow.Waiting, Queue: "default", Priority: 3, Key: "k", Step: "agent", Turn: 4,
				Attempt: 1, Epoch: 5, Crashes: 1, Owner: "n1", Error: "busy", Reason: "signal", Input: json.RawMessage(`{"a":1}`),
				CreatedAt: at, DueAt: at, StartedAt: &at,
			},
			`{"id":"0195a3f2-7c1d-7e5a-9b3c-0123456789ab","workflow":"w","version":2,"state":"waiting","queue":"default","priority":3,` +
				`"key":"k","step":"agent","turn":4,"attempt":1,"epoch":5,"crashes":1,"owner":"n1","error":"busy","reason":"signal","input":{"a":1},` +
				`"created_at":"2026-03-01T12:00:00Z","due_at":"2026-03-01T12:00:00Z","started_at":"2026-03-01T12:00:00Z"}`,
		},
		{
			"step", workflow.StepRun{
				Seq: 1, Step: "call", Attempt: 1, Outcome: workflow.StepCompleted, Epoch: 1, Owner: "n1", State: json.RawMessage(`{}`),
				Facts: []workflow.Fact{{Kind: "llm_call", Doc: json.RawMessage(`{"tokens":3}`), At: at}}, StartedAt: at, FinishedAt: at,
			},
			`{"seq":1,"step":"call","turn":0,"attempt":1,"outcome":"completed","epoch":1,"owner":"n1","state":{},` +
				`"records":[{"kind":"llm_call","doc":{"tokens":3},"at":"2026-03-01T12:00:00Z"}],` +
				`"started_at":"2026-03-01T12:00:00Z","finished_at":"2026-03-01T12:00:00Z"}`,
		},
		{
			"delivery", workflow.Delivery{
				Message:   workflow.Message{Agent: "critic", ID: "1", Source: "w", Type: "review", Payload: json.RawMessage(`{}`)},
				ArrivedAt: at,
			},
			`{"agent":"critic","message_id":"1","source":"w","type":"review","payload":{},"arrived_at":"2026-03-01T12:00:00Z"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := json.Marshal(test.value); err != nil || string(got) != test.want {
				t.Errorf("%s, %v; want\n%s", got, err, test.want)
			}
		})
	}
}
