package singularity

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/supervisor"
)

func treeMessage(node supervisor.Node) *messages.Actor {
	actor := &messages.Actor{
		Name:        node.Name,
		Pid:         node.PID,
		Strategy:    node.Kind,
		State:       node.State.String(),
		Restarts:    int32(node.Restarts),
		Mailbox:     int32(node.Mailbox),
		LastFailure: node.LastFailure,
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
