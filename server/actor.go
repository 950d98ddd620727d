package server

import (
	"context"
	"encoding/json"
	"time"

	"singularity/messages"
	"singularity/messages/messagesconnect"
)

// sendTimeout is how long an actor may take to reply when the caller sets no
// deadline.
const sendTimeout = 5 * time.Second

// actorService implements [messagesconnect.ActorServiceHandler].
type actorService struct{ engine Engine }

var _ messagesconnect.ActorServiceHandler = actorService{}

func (s actorService) Send(ctx context.Context, request *messages.SendRequest) (*messages.SendResponse, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sendTimeout)
		defer cancel()
	}
	reply, err := s.engine.Send(ctx, request.GetPid(), request.GetType(), json.RawMessage(request.GetPayloadJson()))
	if err != nil {
		return nil, err
	}
	return &messages.SendResponse{ReplyJson: text(reply)}, nil
}

func (s actorService) GetActorTree(ctx context.Context, _ *messages.GetActorTreeRequest) (*messages.GetActorTreeResponse, error) {
	root, err := s.engine.ActorTree(ctx)
	if err != nil {
		return nil, err
	}
	return &messages.GetActorTreeResponse{Root: root}, nil
}
