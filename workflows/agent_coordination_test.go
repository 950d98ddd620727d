package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"singularity/workflow"
)

// knownAgents are the agents that exist. The one named "broken" cannot be
// looked up.
type knownAgents map[string]bool

func (a knownAgents) AgentExists(_ context.Context, name string) (bool, error) {
	if name == "broken" {
		return false, errors.New("store unavailable")
	}
	return a[name], nil
}

func ExampleAgentCoordination() {
	agents := knownAgents{"planner": true, "coder": true}
	end, err := run(context.Background(), AgentCoordination(agents), `{
		"message_id": "m-1",
		"source_agent": "planner",
		"target_agent": "coder",
		"message_type": "task",
		"payload": {"file": "main.go"}
	}`)
	if err != nil {
		panic(err)
	}
	var output Receipt
	if err := json.Unmarshal([]byte(end.Output), &output); err != nil {
		panic(err)
	}
	fmt.Println(output.MessageID, output.Routed)
	fmt.Printf("to %s: %s %s\n", end.Sent[0].Agent, end.Sent[0].Type, end.Sent[0].Payload)
	// Output:
	// m-1 true
	// to coder: task {"file":"main.go"}
}

func TestAgentCoordinationKeepsItsContract(t *testing.T) {
	t.Parallel()
	definition := AgentCoordination(knownAgents{"a": true, "b": true})
	if got, want := stepNames(definition), "receive_message validate_routing route_message acknowledge"; got != want {
		t.Errorf("steps %s, expected %s", got, want)
	}
	const input = `{"message_id": "m-1", "source_agent": "a", "target_agent": "b", "message_type": "ping", "payload": [1, "private"]}`
	if admission, err := workflow.Compile(definition).Admit([]byte(input)); err != nil || admission.Key != "m-1" {
		t.Errorf("key %q, %v; expected the message_id", admission.Key, err)
	}

	end, err := run(t.Context(), definition, input)
	if err != nil {
		t.Fatal(err)
	}
	output := decode[map[string]any](t, end.Output)
	if output["message_id"] != "m-1" || output["routed"] != true || len(output) != 3 {
		t.Errorf("output %s", end.Output)
	}
	if text, _ := output["timestamp"].(string); !strings.HasSuffix(text, "Z") {
		t.Errorf("timestamp %q, expected UTC", text)
	} else if _, err := time.Parse(time.RFC3339, text); err != nil {
		t.Error(err)
	}
	want := []workflow.Message{{Agent: "b", ID: "m-1", Source: "a", Type: "ping", Payload: json.RawMessage(`[1,"private"]`)}}
	if !reflect.DeepEqual(end.Sent, want) {
		t.Errorf("sent %+v, expected %+v", end.Sent, want)
	}
	if strings.Contains(end.States["route_message"], "private") || strings.Contains(string(end.Summary.Input), "private") {
		t.Errorf("the payload is in the state %s or the summary %s after it was sent", end.States["route_message"], end.Summary.Input)
	}
}

func TestMessageNeedsNoPayload(t *testing.T) {
	t.Parallel()
	end, err := run(t.Context(), AgentCoordination(knownAgents{"a": true}), `{"message_id": "m", "source_agent": "a", "target_agent": "a", "message_type": "ping"}`)
	if err != nil || len(end.Sent) != 1 {
		t.Errorf("%d messages, %v", len(end.Sent), err)
	}
}

func TestMessageToOrFromAStrangerFailsAtOnce(t *testing.T) {
	t.Parallel()
	for field, names := range map[string][2]string{"target_agent": {"a", "stranger"}, "source_agent": {"stranger", "a"}} {
		input := fmt.Sprintf(`{"message_id": "m", "source_agent": %q, "target_agent": %q, "message_type": "ping"}`, names[0], names[1])
		end, err := run(t.Context(), AgentCoordination(knownAgents{"a": true}), input)
		var failure *workflow.StepError
		if !errors.As(err, &failure) || failure.Step != "validate_routing" || failure.Attempt != 1 || !errors.Is(err, workflow.ErrAgentNotFound) {
			t.Errorf("%s: %v, expected validate_routing to fail at once with ErrAgentNotFound", field, err)
		}
		if want := field + ` "stranger"`; !strings.Contains(err.Error(), want) || len(end.Sent) != 0 {
			t.Errorf("%v with %d messages sent, expected %q and none", err, len(end.Sent), want)
		}
	}
}

func TestFailedLookupOfAnAgentIsTriedAgain(t *testing.T) {
	t.Parallel()
	end, err := run(t.Context(), AgentCoordination(knownAgents{"a": true}), `{"message_id": "m", "source_agent": "a", "target_agent": "broken", "message_type": "ping"}`)
	if err == nil || len(end.Waits) != 4 || !strings.Contains(err.Error(), `look up target_agent "broken": store unavailable`) {
		t.Errorf("%v after %d waits, expected 4", err, len(end.Waits))
	}
}

func TestAgentCoordinationRefusesBadInput(t *testing.T) {
	t.Parallel()
	refusals(t, AgentCoordination(knownAgents{}), map[string]struct{ input, field, reason string }{
		"no message_id":   {`{"source_agent": "a", "target_agent": "b", "message_type": "ping"}`, "message_id", "is missing"},
		"no source_agent": {`{"message_id": "m", "target_agent": "b", "message_type": "ping"}`, "source_agent", "is missing"},
		"no target_agent": {`{"message_id": "m", "source_agent": "a", "message_type": "ping"}`, "target_agent", "is missing"},
		"no message_type": {`{"message_id": "m", "source_agent": "a", "target_agent": "b"}`, "message_type", "is missing"},
		"bad payload":     {`{"message_id": "m", "source_agent": "a", "target_agent": "b", "message_type": "ping", "payload": {]}`, "", "not JSON"},
		"unknown field":   {`{"message_id": "m", "priority": 1}`, "priority", "is not a field"},
	})
}
