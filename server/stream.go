package server

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"singularity/workflow"
)

// streamGrace is for what has happened when the server shuts down and is still
// on its way to the channels of the streams.
const streamGrace = 250 * time.Millisecond

// forward sends what comes from a channel to a client, until the channel is
// closed, the server shuts down or the client's token ends. The headers go out at once: they tell the
// client that it will miss nothing from now on.
func forward[T, M any](ctx context.Context, stream *connect.ServerStream[M], from <-chan T, message func(T) *M) error {
	if err := stream.Send(nil); err != nil {
		return err
	}
	closing := closing(ctx)
	var tooLate <-chan time.Time
	readmit := readmission(ctx)
	var again <-chan time.Time
	if readmit != nil {
		ticker := time.NewTicker(readmitEvery)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		select {
		case value, open := <-from:
			if !open {
				return ctx.Err()
			}
			if err := stream.Send(message(value)); err != nil {
				return err
			}
		case <-again:
			if err := readmit(ctx); err != nil {
				return err
			}
		case <-closing:
			closing = nil
			tooLate = time.After(streamGrace)
		case <-tooLate:
			return fmt.Errorf("the server ends its streams: %w", workflow.ErrDraining)
		}
	}
}

type closingKey struct{}

// withClosing tells the streams below ctx when to end.
func withClosing(ctx context.Context, closing <-chan struct{}) context.Context {
	return context.WithValue(ctx, closingKey{}, closing)
}

// closing is closed when the server that ctx belongs to shuts down. It is nil
// when that is not one of [Serve].
func closing(ctx context.Context) <-chan struct{} {
	channel, _ := ctx.Value(closingKey{}).(<-chan struct{})
	return channel
}
