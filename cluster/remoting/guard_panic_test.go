package remoting

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// begun is a stream that has been accepted.
type begun struct {
	grpc.ServerStream

	context func() context.Context
}

func (b begun) Context() context.Context { return b.context() }

func TestGuardSurvivesAPanicOfTheReader(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	self := Peer{Address: "127.0.0.1:1", Boot: "here"}
	g := newGuard(self, nil, slog.New(slog.NewTextHandler(&log, nil)), func(Refusal) {})
	stream := begun{context: func() context.Context {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(targetBootKey, self.Boot))
		return peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 1234}})
	}}
	err := g.stream(nil, stream, &grpc.StreamServerInfo{FullMethod: receiveMethod}, func(any, grpc.ServerStream) error {
		panic("a type that nobody knows")
	})
	if status.Code(err) != codes.Internal {
		t.Errorf("the stream ended with %v", err)
	}
	for _, part := range []string{"a type that nobody knows", "peer=10.0.0.9:1234", "guard_panic_test.go"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %q in the log:\n%s", part, &log)
		}
	}
	if len(g.inside) != 0 {
		t.Error("the stream is still inside")
	}
	err = g.stream(nil, stream, &grpc.StreamServerInfo{FullMethod: "/other.Service/Receive"}, nil)
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("another service: %v", err)
	}
}
