package remoting

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

var receiveMethod = "/" + remote.Remoting_ServiceDesc.ServiceName + "/Receive"

// guard stands before protoactor's gRPC service. It lets in the streams of
// nodes of the cluster, looks through what they bring, and survives it when
// protoactor does not.
type guard struct {
	self     Peer
	identity Identity // nil without TLS
	log      *slog.Logger
	refused  func(Refusal)

	mu      sync.Mutex
	closing bool
	inside  map[*inbound]struct{}
}

func newGuard(self Peer, identity Identity, log *slog.Logger, refused func(Refusal)) *guard {
	return &guard{self: self, identity: identity, log: log, refused: refused, inside: map[*inbound]struct{}{}}
}

// unary refuses all calls that are no streams: protoactor answers them with a
// panic.
func (g *guard) unary(ctx context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	who, err := g.authorise(ctx)
	if err != nil {
		return nil, err
	}
	g.refused(RefusedPeer)
	g.log.Warn("refused a call", "peer", who, "method", info.FullMethod)
	return nil, status.Errorf(codes.Unimplemented, "%s is not served", info.FullMethod)
}

// stream lets in a stream of envelopes that is meant for this boot.
func (g *guard) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	who, err := g.authorise(stream.Context())
	if err != nil {
		return err
	}
	defer func() {
		if reason := recover(); reason != nil {
			g.log.Error("a stream made its reader panic", "peer", who, "reason", reason, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "what was sent made the reader panic")
		}
	}()
	if info.FullMethod != receiveMethod {
		g.refused(RefusedPeer)
		return status.Errorf(codes.Unimplemented, "%s is not served", info.FullMethod)
	}
	if expected := metadata.ValueFromIncomingContext(stream.Context(), targetBootKey); len(expected) != 1 || expected[0] != g.self.Boot {
		return status.Errorf(codes.FailedPrecondition, "the stream is meant for boot %q, this is %s", expected, g.self)
	}
	in := &inbound{ServerStream: stream, who: who, self: g.self, log: g.log, refused: g.refused, left: make(chan struct{})}
	if !g.enter(in) {
		return status.Error(codes.Unavailable, "the node is shutting down")
	}
	defer g.leave(in)
	err = next(server, in)
	if disorderly(err) {
		g.refused(RefusedPeer)
		g.log.Warn("a stream ended, as it was not in order", "peer", who, "boot", in.peer.Boot, "error", err)
	}
	return err
}

// disorderly reports whether an error of a stream is the peer's fault.
func disorderly(err error) bool {
	switch status.Code(err) {
	case codes.Internal, codes.InvalidArgument, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}

// authorise returns who is at the other end, if it may be.
func (g *guard) authorise(ctx context.Context) (who string, err error) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return "", status.Error(codes.Unauthenticated, "a call from nowhere")
	}
	if g.identity == nil {
		return caller.Addr.String(), nil
	}
	name, err := authorise(g.identity, caller.AuthInfo)
	if err != nil {
		g.refused(RefusedPeer)
		g.log.Warn("refused a peer", "peer", caller.Addr, "error", err)
		return "", status.Error(codes.PermissionDenied, err.Error())
	}
	return fmt.Sprintf("%s (%s)", name, caller.Addr), nil
}

func (g *guard) enter(in *inbound) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closing {
		g.inside[in] = struct{}{}
	}
	return !g.closing
}

func (g *guard) leave(in *inbound) {
	close(in.left)
	in.sumUp()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.inside, in)
}

// close lets nobody in any more, asks all to leave, and waits for that; but not
// for long, since a frozen peer does not hear.
func (g *guard) close(patience time.Duration) {
	g.mu.Lock()
	g.closing = true
	var inside []*inbound
	for in := range g.inside {
		inside = append(inside, in)
	}
	g.mu.Unlock()
	for _, in := range inside {
		in.goodbye()
	}
	enough := time.After(patience)
	for _, in := range inside {
		select {
		case <-in.left:
		case <-enough:
			return
		}
	}
}
