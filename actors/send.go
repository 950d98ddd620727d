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

const (
	// maxTries is how often a letter is sent, to one node or another, before its
	// sender gives up.
	maxTries = 4
	// tryAgainAfter is the pause before the second try of a letter that reached
	// nobody; later ones take longer.
	tryAgainAfter = 50 * time.Millisecond
	// patience is how long an actor may take to answer; it answers at once, unless
	// it stops with the question unread.
	patience = 5 * time.Second
)

// Send gives a message to the actor with the given PID and returns its answer.
// A PID is a name, or address/name to begin at one node: its label, its boot or
// the address of its actors. Actors and what they take:
//
//	run/<id>      ping, query, cancel {"reason"}
//	agent/<name>  ping, message {"message_id", "source", "type", "payload"}
//	dispatcher    ping, sweep, start {"workflow", "input", "id", "queue", "key", "priority"}
//	registry      ping, members
//	sync          ping, flush: send results to the hub now
//	learnings     ping, flush: read now what the hub teaches
//
// An actor is found wherever it lives. A PID that nothing answers to is
// workflow.ErrActorNotFound, a type that the actor does not take a
// [workflow.UnknownMessageError], a node that cannot be reached
// workflow.ErrUnreachable, and silence workflow.ErrNoReply.
func (n *Node) Send(ctx context.Context, pid, messageType string, payload json.RawMessage) (json.RawMessage, error) {
	address, name := splitPID(pid)
	if name == supervisorTarget {
		return nil, fmt.Errorf("send to %s: %w", pid, errNoSuchActor)
	}
	letter := &messages.Letter{Id: workflow.NewRunID().String(), Target: name, Type: messageType, PayloadJson: payload}
	reply, err := n.send(ctx, address, letter)
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", pid, err)
	}
	return reply, nil
}

// splitPID separates an address from a name, which may have a slash itself.
func splitPID(pid string) (address, name string) {
	last := strings.LastIndexByte(pid, '/')
	if last < 0 {
		return "", pid
	}
	name = pid[last+1:]
	for _, kind := range []string{"run", "agent"} {
		if before, found := strings.CutSuffix(pid[:last], kind); found && (before == "" || strings.HasSuffix(before, "/")) {
			return strings.TrimSuffix(before, "/"), kind + "/" + name
		}
	}
	return pid[:last], name
}

// send follows an actor to where it lives. Only who has written a letter sends
// it on, a few times at most, so it cannot go round in circles.
func (n *Node) send(ctx context.Context, address string, letter *messages.Letter) (json.RawMessage, error) {
	mayHaveActed := false
	var failure error
	for try := range maxTries {
		boot, err := n.destination(ctx, address, letter, failure)
		if err != nil {
			return nil, err
		}
		var reply json.RawMessage
		if boot == n.Boot() {
			reply, failure = n.deliver(ctx, letter)
		} else {
			reply, failure = n.mail(ctx, boot, letter)
		}
		switch {
		case failure == nil:
			return reply, nil
		case errors.As(failure, new(*notOwnerError)):
			continue
		case !errors.As(failure, new(*lostLetterError)):
			return nil, failure
		case !errors.Is(failure, workflow.ErrUnreachable):
			mayHaveActed = true
		}
		if try < maxTries-1 && !pause(ctx, time.Duration(try+1)*tryAgainAfter) {
			break
		}
	}
	switch {
	case letter.GetType() == "cancel" && ctx.Err() == nil:
		return n.deliver(ctx, letter) // the row is as good
	case mayHaveActed:
		return nil, fmt.Errorf("%w: %w", workflow.ErrNoReply, failure)
	case errors.As(failure, new(*notOwnerError)):
		return nil, fmt.Errorf("%w: it was looked for on %d nodes, and each named another", workflow.ErrUnreachable, maxTries)
	default:
		return nil, failure
	}
}

// destination is the boot to send a letter to, after the last try failed with
// the given error.
func (n *Node) destination(ctx context.Context, address string, letter *messages.Letter, failure error) (persistence.BootID, error) {
	if elsewhere, ok := errors.AsType[*notOwnerError](failure); ok {
		return elsewhere.boot, nil
	}
	if address != "" {
		return n.bootAt(ctx, address)
	}
	return n.locate(ctx, letter)
}

// locate finds where the actor lives that a letter is for. What any node can
// answer from the store is answered here, and so is what nobody can answer.
func (n *Node) locate(ctx context.Context, letter *messages.Letter) (home persistence.BootID, err error) {
	kind, name, _ := strings.Cut(letter.GetTarget(), "/")
	personal := letter.GetType() == "ping" || letter.GetType() == "cancel"
	id, invalid := workflow.ParseRunID(name)
	switch {
	case n.shared == nil || !personal:
	case kind == "run" && invalid == nil:
		home, err = n.shared.Owner(ctx, id)
	case kind == "agent":
		var agent persistence.Agent
		if agent, err = n.store.Agent(ctx, name); agent.Alive {
			home = agent.Boot
		}
	}
	if err != nil && !errors.Is(err, workflow.ErrRunNotFound) && !errors.Is(err, workflow.ErrAgentNotFound) {
		return "", err
	}
	return cmp.Or(home, n.Boot()), nil
}

// bootAt finds a node.
func (n *Node) bootAt(ctx context.Context, address string) (persistence.BootID, error) {
	own := n.standing.boot()
	if address == n.system.Address() || address == own.Instance || address == string(own.ID) {
		return own.ID, nil
	}
	if boot, found := n.peers.At(address); found {
		return boot, nil
	}
	if n.shared != nil {
		members, err := n.store.Members(ctx)
		if err != nil {
			return "", err
		}
		for _, member := range members {
			if member.Status != "offline" && goesBy(member, address) {
				return member.Boot, nil
			}
		}
	}
	return "", fmt.Errorf("%w: no node is known as %s", workflow.ErrActorNotFound, address)
}

func goesBy(member persistence.Member, address string) bool {
	return address == member.Instance || address == string(member.Boot) || address == member.Actors
}

// lostLetterError is a letter that was not answered.
type lostLetterError struct {
	boot persistence.BootID
	err  error
}

func (e *lostLetterError) Error() string {
	return fmt.Sprintf("the node of boot %s: %v", e.boot, e.err)
}
func (e *lostLetterError) Unwrap() error { return e.err }

// mail gives a letter to another node and returns what it answered.
func (n *Node) mail(ctx context.Context, boot persistence.BootID, letter *messages.Letter) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := n.peers.Ask(ctx, boot, letter)
	if err != nil {
		return nil, &lostLetterError{boot, err}
	}
	switch outcome := reply.GetOutcome().(type) {
	case *messages.LetterReply_ReplyJson:
		return outcome.ReplyJson, nil
	case *messages.LetterReply_NotOwner:
		return nil, &notOwnerError{persistence.BootID(outcome.NotOwner.GetBoot())}
	case *messages.LetterReply_Failure:
		return nil, decodeError(letter, outcome.Failure)
	default:
		return nil, fmt.Errorf("%w: the node of boot %s speaks a later version", workflow.ErrNoReply, boot)
	}
}

// Answer gives a letter of another node to its actor, and returns the reply. It
// does not send it on: where the actor lives, it tells, and who wrote follows.
func (n *Node) Answer(ctx context.Context, letter *messages.Letter) *messages.LetterReply {
	if !n.started.Load() {
		return &messages.LetterReply{Outcome: &messages.LetterReply_Failure{Failure: encodeError(workflow.ErrDraining)}}
	}
	answer, err := n.deliver(ctx, letter)
	elsewhere, moved := errors.AsType[*notOwnerError](err)
	switch {
	case moved:
		return &messages.LetterReply{Outcome: &messages.LetterReply_NotOwner{
			NotOwner: &messages.NotOwner{Boot: string(elsewhere.boot)},
		}}
	case err != nil:
		return &messages.LetterReply{Outcome: &messages.LetterReply_Failure{Failure: encodeError(err)}}
	default:
		return &messages.LetterReply{Outcome: &messages.LetterReply_ReplyJson{ReplyJson: answer}}
	}
}
