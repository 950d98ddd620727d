package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// deliver gives a letter to an actor of this node. One that lives elsewhere is
// a *notOwnerError.
func (n *Node) deliver(ctx context.Context, letter *messages.Letter) (json.RawMessage, error) {
	answer, err := n.answer(ctx, letter)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func (n *Node) answer(ctx context.Context, letter *messages.Letter) (any, error) {
	kind, rest, _ := strings.Cut(letter.GetTarget(), "/")
	switch {
	case kind == "run" && rest != "":
		id, err := workflow.ParseRunID(rest)
		if err != nil {
			return nil, err
		}
		return n.answerRun(ctx, id, letter)
	case kind == "agent" && rest != "":
		return n.answerAgent(ctx, rest, letter)
	case letter.GetTarget() == "dispatcher":
		return n.answerDispatcher(ctx, letter)
	case letter.GetTarget() == "registry":
		return n.answerRegistry(ctx, letter)
	case letter.GetTarget() == syncActorName, letter.GetTarget() == learningsActorName:
		return n.answerHub(ctx, letter)
	case letter.GetTarget() == supervisorTarget:
		return n.answerSupervisor(ctx, letter)
	default:
		return nil, errNoSuchActor
	}
}

var errNoSuchActor = fmt.Errorf("%w: expected run/<id>, agent/<name>, dispatcher, registry, sync or learnings", workflow.ErrActorNotFound)

// pong answers a ping.
type pong struct {
	PID  string `json:"pid"`
	Node string `json:"node"`
}

func unknownType(letter *messages.Letter, known ...string) error {
	return &workflow.UnknownMessageError{PID: letter.GetTarget(), Type: letter.GetType(), Known: known}
}

func (n *Node) answerRun(ctx context.Context, id workflow.RunID, letter *messages.Letter) (any, error) {
	switch letter.GetType() {
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
		if err := decodePayload(letter, &request); err != nil {
			return nil, err
		}
		return n.Cancel(ctx, id, request.Reason)
	default:
		return nil, unknownType(letter, "ping", "query", "cancel")
	}
}

// explainAbsence says where the actor of a run is, or why there is none.
func (n *Node) explainAbsence(ctx context.Context, id workflow.RunID) error {
	if n.shared != nil {
		owner, err := n.shared.Owner(ctx, id)
		if err == nil && owner != "" && owner != n.Boot() {
			return &notOwnerError{owner}
		}
	}
	run, err := n.Run(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: run %s is %s and not in memory", workflow.ErrActorNotFound, id, run.State)
}

func (n *Node) answerAgent(ctx context.Context, name string, letter *messages.Letter) (any, error) {
	switch letter.GetType() {
	case "ping":
		reply := make(chan struct{}, 1)
		if _, here := n.agents.epoch(name); !here || !n.sendLive(agentPID(name), pingActor{reply}) {
			return nil, n.explainAgent(ctx, name)
		}
		if _, err := await(ctx, reply); err != nil {
			return nil, err
		}
		return pong{agentPID(name), n.cfg.Instance}, nil
	case "message":
		message := workflow.Message{Agent: name}
		if err := decodePayload(letter, &message); err != nil {
			return nil, err
		}
		message.Agent, message.ID = name, cmp.Or(message.ID, letter.GetId())
		return n.post(ctx, message)
	default:
		return nil, unknownType(letter, "ping", "message")
	}
}

// explainAgent says where an agent lives that does not live here.
func (n *Node) explainAgent(ctx context.Context, name string) error {
	agent, err := n.store.Agent(ctx, name)
	switch {
	case err != nil && !errors.Is(err, workflow.ErrAgentNotFound):
		return err
	case err == nil && agent.Alive && agent.Boot != n.Boot():
		return &notOwnerError{agent.Boot}
	case err == nil && n.shared != nil:
		return fmt.Errorf("%w: agent %s lives nowhere now", workflow.ErrActorNotFound, name)
	default:
		return fmt.Errorf("%w: agent %s is not here", workflow.ErrActorNotFound, name)
	}
}

// posted answers a message to an agent: it is in the inbox.
type posted struct {
	MessageID string    `json:"message_id"`
	Agent     string    `json:"agent"`
	Posted    time.Time `json:"timestamp"`
}

func (n *Node) post(ctx context.Context, message workflow.Message) (any, error) {
	if _, err := n.journal.Commit(ctx, persistence.Post{Message: message}); err != nil {
		if errors.Is(err, workflow.ErrAgentNotFound) {
			return nil, fmt.Errorf("%w: agent %s was never registered", workflow.ErrActorNotFound, message.Agent)
		}
		return nil, err
	}
	n.agents.arrived(message.Agent)
	return posted{message.ID, message.Agent, time.Now().UTC()}, nil
}

// started answers a start.
type started struct {
	ID       workflow.RunID `json:"id"`
	Attached bool           `json:"attached"`
}

func (n *Node) answerDispatcher(ctx context.Context, letter *messages.Letter) (any, error) {
	switch letter.GetType() {
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
	case "start":
		return n.answerStart(ctx, letter)
	default:
		return nil, unknownType(letter, "ping", "sweep", "start")
	}
}

// answerStart starts a run. Without an id of its own it takes the letter's, so
// that a letter that comes twice starts one run.
func (n *Node) answerStart(ctx context.Context, letter *messages.Letter) (any, error) {
	request := struct {
		Workflow string          `json:"workflow"`
		Input    json.RawMessage `json:"input"`
		ID       string          `json:"id"`
		Queue    string          `json:"queue"`
		Key      string          `json:"key"`
		Priority int             `json:"priority"`
	}{}
	if err := decodePayload(letter, &request); err != nil {
		return nil, err
	}
	id, err := workflow.ParseRunID(cmp.Or(request.ID, letter.GetId()))
	if err != nil {
		return nil, err
	}
	pending, err := n.StartRun(ctx, workflow.StartRequest{
		Workflow: request.Workflow, Input: request.Input,
		Options: workflow.Options{ID: id, Key: request.Key, Queue: request.Queue, Priority: request.Priority},
	})
	if err != nil {
		return nil, err
	}
	return started{pending.ID(), pending.Attached()}, nil
}

// member is a node as the registry lists it.
type member struct {
	Instance      string             `json:"instance_id"`
	Boot          persistence.BootID `json:"boot"`
	Status        string             `json:"status"`
	Load          int                `json:"load"`
	Version       string             `json:"version,omitempty"`
	LastHeartbeat time.Time          `json:"last_heartbeat"`
}

func (n *Node) answerRegistry(ctx context.Context, letter *messages.Letter) (any, error) {
	switch letter.GetType() {
	case "ping":
		return pong{"registry", n.cfg.Instance}, nil
	case "members":
		found, err := n.store.Members(ctx)
		if err != nil {
			return nil, err
		}
		members := make([]member, len(found))
		for i, m := range found {
			members[i] = member{m.Instance, m.Boot, m.Status, m.Load, m.Version, m.LastHeartbeat}
		}
		return members, nil
	default:
		return nil, unknownType(letter, "ping", "members")
	}
}

// supervisorTarget is for what is asked of a node as a whole: Tree, Drain and the
// keys. Send does not get there: who may send messages may not end nodes.
const supervisorTarget = "supervisor"

func (n *Node) answerSupervisor(ctx context.Context, letter *messages.Letter) (any, error) {
	switch letter.GetType() {
	case "tree":
		return n.answerTree(ctx)
	case "drain":
		return n.answerDrain(ctx, letter)
	case "keys":
		return n.answerKeys(letter)
	default:
		return nil, unknownType(letter, "tree", "drain", "keys")
	}
}

func await[T any](ctx context.Context, reply <-chan T) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: within %s", workflow.ErrNoReply, patience))
	defer cancel()
	select {
	case value := <-reply:
		return value, nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func decodePayload(letter *messages.Letter, into any) error {
	payload := letter.GetPayloadJson()
	if len(payload) == 0 {
		return nil
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return workflow.Invalidf("payload", "cannot be read: %v", err)
	}
	return nil
}
