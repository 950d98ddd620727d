package singularity

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/persistence"
)

// Members reads the registry of the nodes that use the database, the latest
// heartbeat first.
func (e *Engine) Members(ctx context.Context) ([]*messages.Member, error) {
	members, err := e.node.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	list := make([]*messages.Member, len(members))
	for i, member := range members {
		list[i] = memberMessage(member)
	}
	return list, nil
}

func memberMessage(member persistence.Member) *messages.Member {
	return &messages.Member{
		InstanceId:       member.Instance,
		Hostname:         member.Hostname,
		Pid:              int32(member.PID),
		Status:           member.Status,
		Load:             int32(member.Load),
		CapabilitiesJson: member.Capabilities,
		LastHeartbeat:    timestamppb.New(member.LastHeartbeat),
		CreatedAt:        timestamppb.New(member.CreatedAt),
		Version:          member.Version,
		Boot:             string(member.Boot),
		GossipAddress:    member.Gossip,
		ActorsAddress:    member.Actors,
		ApiAddress:       member.API,
	}
}
