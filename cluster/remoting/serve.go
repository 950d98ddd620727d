package remoting

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// batchSize is how many envelopes protoactor sends at once at most, maxFrame
// more than they can take together.
const (
	batchSize = 64
	maxFrame  = batchSize * (maxPayload + 8*maxName)
)

// freeAddress returns the address to listen on, with a port, if it is free.
// Protoactor panics when it is not, and does not tell which port it got for 0.
func freeAddress(bind string) (string, error) {
	listener, err := net.Listen("tcp", bind)
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// serve starts protoactor's remote behind the guard.
func serve(system *actor.ActorSystem, address string, self Peer, guard *guard, links *links) (r *remote.Remote, err error) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(digits)
	if err != nil {
		return nil, err
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // protoactor joins host and port by a colon
	}
	r = remote.NewRemote(system, remote.Configure(host, port,
		remote.WithAdvertisedHost(self.String()),
		remote.WithEndpointWriterBatchSize(batchSize),
		remote.WithEndpointWriterQueueSize(64), // it grows; the default takes 16 MB for each peer
		remote.WithServerOptions(serverOptions(guard)...),
		remote.WithDialOptions(append(endpoints(links.named), grpc.WithTransportCredentials(insecure.NewCredentials()))...),
		func(c *remote.Config) { c.MaxRetryCount = 1 },
	))
	defer func() {
		switch reason := recover(); {
		case reason == nil:
		case strings.Contains(fmt.Sprint(reason), syscall.EADDRINUSE.Error()): // somebody has taken it since freeAddress looked
			err = fmt.Errorf("listen on %s: %w", address, syscall.EADDRINUSE)
		default:
			err = fmt.Errorf("start protoactor's remote: %v", reason)
		}
	}()
	r.Start()
	return r, nil
}

func serverOptions(guard *guard) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(newCredentials(guard.identity, guard.log, guard.refused)),
		grpc.UnaryInterceptor(guard.unary),
		grpc.StreamInterceptor(guard.stream),
		grpc.WaitForHandlers(true),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.MaxConcurrentStreams(8), // a peer needs one
		grpc.MaxRecvMsgSize(maxFrame),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(streamWindow),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}),
	}
}

// warnings leaves out what protoactor says below the level of a warning: that
// streams come and go is for events to tell.
type warnings struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
