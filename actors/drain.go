package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// drainRequest asks a node to drain.
type drainRequest struct {
	By string `json:"by"`
}

// drainBegun answers it.
type drainBegun struct {
	Node string `json:"node"`
}

// Drain asks a node to drain and end, by its label, its boot or the address of
// its actors, and returns its label when it has begun to. That takes an owner
// who watches DrainAsked: without one it is workflow.ErrNoReply. Other errors
// are those of Send. A node that drains already is none.
func (n *Node) Drain(ctx context.Context, node string) (instance string, err error) {
	payload, err := json.Marshal(drainRequest{By: n.cfg.Instance})
	if err != nil {
		return "", fmt.Errorf("drain %s: %w", node, err)
	}
	reply, err := n.send(ctx, node, &messages.Letter{
		Id: workflow.NewRunID().String(), Target: supervisorTarget, Type: "drain", PayloadJson: payload,
	})
	if errors.Is(err, workflow.ErrUnreachable) {
		if leaving, found := n.leaving(ctx, node); found {
			return leaving, nil
		}
	}
	var begun drainBegun
	if err == nil {
		err = json.Unmarshal(reply, &begun)
	}
	if err != nil {
		return "", fmt.Errorf("drain %s: %w", node, err)
	}
	return begun.Node, nil
}

// leaving finds a node that drains in the registry: it has told the others that
// it goes, and they send it no letters any more.
func (n *Node) leaving(ctx context.Context, node string) (instance string, found bool) {
	members, err := n.store.Members(ctx)
	if err != nil {
		return "", false
	}
	for _, member := range members {
		if member.Status == string(persistence.NodeDraining) && goesBy(member, node) {
			return member.Instance, true
		}
	}
	return "", false
}

// DrainAsked is closed when somebody asks the node to drain, by Drain of any
// node. Its owner then calls Stop.
func (n *Node) DrainAsked() <-chan struct{} { return n.drainAsked }

func (n *Node) answerDrain(ctx context.Context, letter *messages.Letter) (any, error) {
	var request drainRequest
	if err := decodePayload(letter, &request); err != nil {
		return nil, err
	}
	n.askOnce.Do(func() {
		n.log.Info("the node was asked to drain", "by", request.By)
		close(n.drainAsked)
	})
	if _, err := await(ctx, n.stopping); err != nil {
		return nil, err
	}
	return drainBegun{n.cfg.Instance}, nil
}
