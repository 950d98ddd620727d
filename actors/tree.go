package actors

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/supervisor"
	"singularity/workflow"
)

// Tree describes the supervision tree of a node: this one, or the one that goes
// by a label, a boot or an address of actors. Its errors are those of Send.
func (n *Node) Tree(ctx context.Context, node string) (*messages.Actor, error) {
	letter := &messages.Letter{Id: workflow.NewRunID().String(), Target: supervisorTarget, Type: "tree"}
	reply, err := n.send(ctx, node, letter)
	if err != nil {
		return nil, err
	}
	root := new(messages.Actor)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(reply, root); err != nil {
		return nil, fmt.Errorf("read the tree of %s: %w", node, err)
	}
	return root, nil
}

func (n *Node) answerTree(ctx context.Context) (json.RawMessage, error) {
	root, err := n.tree.Describe(ctx)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(treeMessage(root))
}

func treeMessage(node supervisor.Node) *messages.Actor {
	actor := &messages.Actor{
		Name:        node.Name,
		Pid:         node.PID,
		Strategy:    node.Kind,
		State:       node.State.String(),
		Restarts:    int32(node.Restarts),
		Mailbox:     int32(node.Mailbox),
		LastFailure: storedText(node.LastFailure),
		More:        int32(node.More),
	}
	if !node.LastFailureAt.IsZero() {
		actor.LastFailureAt = timestamppb.New(node.LastFailureAt)
	}
	for _, child := range node.Children {
		actor.Children = append(actor.Children, treeMessage(child))
	}
	return actor
}
