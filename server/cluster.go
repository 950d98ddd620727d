package server

import (
	"context"

	"singularity/messages"
	"singularity/messages/messagesconnect"
)

// clusterService implements [messagesconnect.ClusterServiceHandler].
type clusterService struct{ engine Engine }

var _ messagesconnect.ClusterServiceHandler = clusterService{}

func (s clusterService) ListMembers(ctx context.Context, _ *messages.ListMembersRequest) (*messages.ListMembersResponse, error) {
	members, err := s.engine.Members(ctx)
	if err != nil {
		return nil, err
	}
	return &messages.ListMembersResponse{Members: members}, nil
}
