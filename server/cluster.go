package server

import (
	"context"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
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

func (s clusterService) ListTakeovers(ctx context.Context, request *messages.ListTakeoversRequest) (*messages.ListTakeoversResponse, error) {
	takeovers, err := s.engine.Takeovers(ctx, int(request.GetLimit()))
	if err != nil {
		return nil, err
	}
	return &messages.ListTakeoversResponse{Takeovers: takeovers}, nil
}

func (s clusterService) DrainNode(ctx context.Context, request *messages.DrainNodeRequest) (*messages.DrainNodeResponse, error) {
	if request.GetNode() == "" {
		return nil, workflow.Invalid("node", "is empty; expected the label, the boot or the actors address of a node")
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	instance, err := s.engine.Drain(ctx, request.GetNode())
	if err != nil {
		return nil, err
	}
	return &messages.DrainNodeResponse{InstanceId: instance}, nil
}
