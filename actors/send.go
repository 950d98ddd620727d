package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// Send gives a message to the actor with the given PID, of the form name or
// address/name, and returns its answer. Actors and what they take:
//
//	run/<id>      ping, query, cancel {"reason"}
//	agent/<name>  ping, message {"message_id", "source", "type", "payload"}
//	dispatcher    ping, sweep
//
// A PID that nothing answers to is workflow.ErrActorNotFound, a type that the
// actor does not take a [workflow.UnknownMessageError].
func (n *Node) Send(ctx context.Context, pid, messageType string, payload json.RawMessage) (json.RawMessage, error) {
	name := strings.TrimPrefix(pid, n.system.Address()+"/")
	answer, err := n.deliver(ctx, name, messageType, payload)
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", pid, err)
	}
	return json.Marshal(answer)
}

func (n *Node) deliver(ctx context.Context, name, messageType string, payload json.RawMessage) (any, error) {
	kind, rest, _ := strings.Cut(name, "/")
	switch {
	case kind == "run" && rest != "":
		id, err := workflow.ParseRunID(rest)
		if err != nil {
			return nil, err
		}
		return n.sendRun(ctx, id, messageType, payload)
	case kind == "agent" && rest != "":
		return n.sendAgent(ctx, rest, messageType, payload)
	case name == "dispatcher":
		return n.sendDispatcher(ctx, messageType)
	default:
		return nil, fmt.Errorf("%w: expected run/<id>, agent/<name> or dispatcher", workflow.ErrActorNotFound)
	}
}

// pong answers a ping.
type pong struct {
	PID  string `json:"pid"`
	Node string `json:"node"`
}

func (n *Node) sendRun(ctx context.Context, id workflow.RunID, messageType string, payload json.RawMessage) (any, error) {
	switch messageType {
	case "ping":
		reply := make(chan workflow.Run, 1)
		if !n.sendLive(runPID(id), queryRun{reply}) {
			return nil, n.explainAbsence(ctx, id)
		}
		if _, err := await(ctx, reply); err != nil {
			return nil, err
		}
		return pong{runPID(id), n.cfg.Instance}, nil
	case "query":
		return n.Run(ctx, id)
	case "cancel":
		var request struct {
			Reason string `json:"reason"`
		}
		if err := decodePayload(payload, &request); err != nil {
			return nil, err
		}
		return n.Cancel(ctx, id, request.Reason)
	default:
		return nil, &workflow.UnknownMessageError{PID: runPID(id), Type: messageType, Known: []string{"ping", "query", "cancel"}}
	}
}

// explainAbsence says why a run has no actor.
func (n *Node) explainAbsence(ctx context.Context, id workflow.RunID) error {
	run, err := n.Run(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: run %s is %s and not in memory", workflow.ErrActorNotFound, id, run.State)
}

func (n *Node) sendAgent(ctx context.Context, name, messageType string, payload json.RawMessage) (any, error) {
	switch messageType {
	case "ping":
		reply := make(chan struct{}, 1)
		if !n.sendLive(agentPID(name), pingActor{reply}) {
			return nil, fmt.Errorf("%w: agent %s is not here", workflow.ErrActorNotFound, name)
		}
		if _, err := await(ctx, reply); err != nil {
			return nil, err
		}
		return pong{agentPID(name), n.cfg.Instance}, nil
	case "message":
		message := workflow.Message{Agent: name}
		if err := decodePayload(payload, &message); err != nil {
			return nil, err
		}
		message.Agent = name
		return n.post(ctx, message)
	default:
		return nil, &workflow.UnknownMessageError{PID: agentPID(name), Type: messageType, Known: []string{"ping", "message"}}
	}
}

// posted answers a message to an agent: it is in the inbox.
type posted struct {
	MessageID string    `json:"message_id"`
	Agent     string    `json:"agent"`
	Posted    time.Time `json:"timestamp"`
}

func (n *Node) post(ctx context.Context, message workflow.Message) (any, error) {
	if message.ID == "" {
		message.ID = workflow.NewRunID().String()
	}
	if _, err := n.journal.Commit(ctx, persistence.Post{Message: message}); err != nil {
		if errors.Is(err, workflow.ErrAgentNotFound) {
			return nil, fmt.Errorf("%w: agent %s was never registered", workflow.ErrActorNotFound, message.Agent)
		}
		return nil, err
	}
	n.agents.arrived(message.Agent)
	return posted{message.ID, message.Agent, time.Now().UTC()}, nil
}

func (n *Node) sendDispatcher(ctx context.Context, messageType string) (any, error) {
	switch messageType {
	case "ping":
		reply := make(chan workflow.Run, 1)
		n.tellDispatcher(findRun{reply: reply})
		if _, err := await(ctx, reply); err != nil {
			return nil, err
		}
		return pong{"dispatcher", n.cfg.Instance}, nil
	case "sweep":
		n.tellDispatcher(lookNow{})
		return struct {
			Swept bool `json:"sweep_started"`
		}{true}, nil
	default:
		return nil, &workflow.UnknownMessageError{PID: "dispatcher", Type: messageType, Known: []string{"ping", "sweep"}}
	}
}

// patience is how long an actor may take to answer; it answers at once, unless
// it stops with the question unread.
const patience = 5 * time.Second

func await[T any](ctx context.Context, reply <-chan T) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("%w: it did not answer within %s", workflow.ErrActorNotFound, patience))
	defer cancel()
	select {
	case value := <-reply:
		return value, nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func decodePayload(payload json.RawMessage, into any) error {
	if len(payload) == 0 {
		return nil
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return workflow.Invalidf("payload", "cannot be read: %v", err)
	}
	return nil
}
