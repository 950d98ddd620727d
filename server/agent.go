package server

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"singularity/messages"
	"singularity/messages/messagesconnect"
	"singularity/workflow"
)

// agentService implements [messagesconnect.AgentServiceHandler].
type agentService struct{ engine Engine }

var _ messagesconnect.AgentServiceHandler = agentService{}

func (s agentService) ListAgents(ctx context.Context, _ *messages.ListAgentsRequest) (*messages.ListAgentsResponse, error) {
	agents, err := s.engine.Agents(ctx)
	if err != nil {
		return nil, err
	}
	response := &messages.ListAgentsResponse{}
	for _, agent := range agents {
		response.Agents = append(response.Agents, &messages.Agent{
			Name:         agent.Name,
			Kind:         agent.Kind,
			Home:         agent.Home,
			Live:         agent.Live,
			Waiting:      int32(agent.Waiting),
			RegisteredAt: timestamp(agent.RegisteredAt),
		})
	}
	return response, nil
}

func (s agentService) Attach(ctx context.Context, request *messages.AttachRequest, stream *connect.ServerStream[messages.AttachResponse]) error {
	deliveries, err := s.engine.AttachAgent(ctx, request.GetName())
	if err != nil {
		return err
	}
	err = forward(ctx, stream, deliveries, func(delivery workflow.Delivery) *messages.AttachResponse {
		return &messages.AttachResponse{Delivery: deliveryMessage(delivery)}
	})
	if err != nil {
		return err
	}
	return connect.NewError(connect.CodeAborted, fmt.Errorf("agent %s is not attached any more: another process attached with the name, or the engine ends", request.GetName()))
}

func (s agentService) Acknowledge(ctx context.Context, request *messages.AcknowledgeRequest) (*messages.AcknowledgeResponse, error) {
	if err := s.engine.AcknowledgeMessage(ctx, request.GetAgent(), request.GetMessageId()); err != nil {
		return nil, err
	}
	return &messages.AcknowledgeResponse{}, nil
}

func deliveryMessage(delivery workflow.Delivery) *messages.Delivery {
	return &messages.Delivery{
		MessageId:   text(delivery.ID),
		Agent:       delivery.Agent,
		Source:      text(delivery.Source),
		Type:        text(delivery.Type),
		PayloadJson: text(delivery.Payload),
		ArrivedAt:   timestamp(delivery.ArrivedAt),
	}
}
