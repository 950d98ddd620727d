package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"singularity/workflow"
)

// AgentMessage is the input of agent_coordination.
type AgentMessage struct {
	MessageID string          `json:"message_id"`
	Source    string          `json:"source_agent"`
	Target    string          `json:"target_agent"`
	Type      string          `json:"message_type"`
	Payload   json.RawMessage `json:"payload"` // any JSON
}

// Receipt is the output of agent_coordination.
type Receipt struct {
	MessageID string    `json:"message_id"`
	Routed    bool      `json:"routed"`
	Timestamp time.Time `json:"timestamp"`
}

// Agents knows the agents of the cluster.
type Agents interface {
	// AgentExists reports whether an agent of that name is registered, live or
	// not.
	AgentExists(ctx context.Context, name string) (bool, error)
}

type messageState struct {
	MessageID string          `json:"message_id"`
	Source    string          `json:"source_agent"`
	Target    string          `json:"target_agent"`
	Type      string          `json:"message_type"`
	Payload   json.RawMessage `json:"payload,omitempty"` // empty once the inbox has it
	Routed    bool            `json:"routed"`
	Timestamp time.Time       `json:"timestamp,omitzero"`
}

// AgentCoordination puts a message from one agent into another's inbox. Its
// key is message_id. The message is in the inbox once route_message has
// committed, exactly once however often the step runs.
func AgentCoordination(agents Agents) *workflow.Workflow[AgentMessage, Receipt] {
	return workflow.Define("agent_coordination", acceptMessage, receipt,
		workflow.Do("receive_message", receiveMessage),
		workflow.Do("validate_routing", routing{agents}.validate),
		workflow.Do("route_message", routeMessage),
		workflow.Do("acknowledge", acknowledge),
	).Key(func(in AgentMessage) string { return in.MessageID })
}

func acceptMessage(in AgentMessage) (messageState, error) {
	state := messageState{
		MessageID: in.MessageID,
		Source:    in.Source,
		Target:    in.Target,
		Type:      in.Type,
		Payload:   in.Payload,
	}
	return state, errors.Join(
		checkID("message_id", in.MessageID),
		checkName("source_agent", in.Source),
		checkName("target_agent", in.Target),
		checkName("message_type", in.Type),
	)
}

func receiveMessage(ctx context.Context, s *messageState) error {
	workflow.Summarize(ctx, workflow.Summary{Input: summary(struct {
		Source  string `json:"source_agent"`
		Target  string `json:"target_agent"`
		Type    string `json:"message_type"`
		Payload digest `json:"payload"`
	}{s.Source, s.Target, s.Type, digestOf(string(s.Payload))})})
	return nil
}

type routing struct{ agents Agents }

// validate checks that both agents exist. One that does not will not appear
// by trying again: the sender mends the name, or registers the agent, and
// sends anew.
func (r routing) validate(ctx context.Context, s *messageState) error {
	for _, end := range []struct{ field, agent string }{{"source_agent", s.Source}, {"target_agent", s.Target}} {
		exists, err := r.agents.AgentExists(ctx, end.agent)
		if err != nil {
			return fmt.Errorf("look up %s %q: %w", end.field, end.agent, err)
		}
		if !exists {
			return workflow.Permanent(fmt.Errorf("%s %q: %w", end.field, end.agent, workflow.ErrAgentNotFound))
		}
	}
	return nil
}

func routeMessage(ctx context.Context, s *messageState) error {
	workflow.Send(ctx, workflow.Message{
		Agent:   s.Target,
		ID:      s.MessageID,
		Source:  s.Source,
		Type:    s.Type,
		Payload: s.Payload,
	})
	s.Payload = nil
	s.Routed = true
	return nil
}

func acknowledge(ctx context.Context, s *messageState) error {
	s.Timestamp = time.Now().UTC()
	workflow.Summarize(ctx, workflow.Summary{Result: summary(struct {
		Routed bool `json:"routed"`
	}{s.Routed})})
	return nil
}

func receipt(s *messageState) Receipt {
	return Receipt{MessageID: s.MessageID, Routed: s.Routed, Timestamp: s.Timestamp}
}
