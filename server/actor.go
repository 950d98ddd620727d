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

// bounded gives a call a deadline that has none.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, sendTimeout)
}

// actorService implements [messagesconnect.ActorServiceHandler].
type actorService struct{ engine Engine }

var _ messagesconnect.ActorServiceHandler = actorService{}

func (s actorService) Send(ctx context.Context, request *messages.SendRequest) (*messages.SendResponse, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	reply, err := s.engine.Send(ctx, request.GetPid(), request.GetType(), json.RawMessage(request.GetPayloadJson()))
	if err != nil {
		return nil, err
	}
	return &messages.SendResponse{ReplyJson: text(reply)}, nil
}

func (s actorService) GetActorTree(ctx context.Context, request *messages.GetActorTreeRequest) (*messages.GetActorTreeResponse, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	root, err := s.engine.ActorTree(ctx, request.GetNode())
	if err != nil {
		return nil, err
	}
	return &messages.GetActorTreeResponse{Root: root}, nil
}
