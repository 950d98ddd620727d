package remoting

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// targetBootKey is the header of a stream that names the boot it is meant for.
const targetBootKey = "singularity-target-boot"

// streamWindow is how much of a stream gRPC takes in before it is read.
const streamWindow = 1 << 20

// connection is one stream to a peer, which has said who it is. It has a gRPC
// connection of its own, which is never used again: one that gRPC reconnects
// reports old failures as if they were of now.
type connection struct {
	client *grpc.ClientConn
	stream remote.Remoting_ReceiveClient
	cancel context.CancelFunc

	writing sync.Mutex
}

// dialer makes connections from one node.
type dialer struct {
	self     Peer
	patience time.Duration
	options  []grpc.DialOption
}

func newDialer(self Peer, secure credentials.TransportCredentials, limits Limits) *dialer {
	return &dialer{
		self:     self,
		patience: limits.Dial,
		options: append([]grpc.DialOption{
			grpc.WithTransportCredentials(secure),
			grpc.WithInitialWindowSize(streamWindow),
			grpc.WithInitialConnWindowSize(streamWindow),
			grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 2 * limits.Dial}),
			// 10 s is the shortest interval that a client of gRPC has.
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second, PermitWithoutStream: true}),
		}, wayOut...),
	}
}

// wayOut is how streams are made, if not over the network of the machine. Fault
// tests change it.
var wayOut []grpc.DialOption

// dial connects to a peer and exchanges hellos with it: each side learns the
// other's boot, and is told which one is expected of itself.
func (d *dialer) dial(ctx context.Context, to Peer) (*connection, error) {
	client, err := grpc.NewClient("passthrough:///"+to.Address, d.options...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c := &connection{client: client, cancel: func() { cancel(nil) }}
	patience := time.AfterFunc(d.patience, func() { cancel(errSilent) })
	err = c.greet(metadata.AppendToOutgoingContext(ctx, targetBootKey, to.Boot), d.self, to)
	if !patience.Stop() && err != nil && errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *connection) greet(ctx context.Context, self, to Peer) error {
	stream, err := remote.NewRemotingClient(c.client).Receive(ctx)
	if err != nil {
		return err
	}
	c.stream = stream
	hello := &remote.ServerConnection{SystemId: self.Boot, Address: self.String()}
	err = stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{
		ConnectRequest: &remote.ConnectRequest{ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: hello}},
	}})
	if err != nil && !errors.Is(err, io.EOF) { // EOF: the reason is there to be received
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	if boot := answer.GetConnectResponse().GetMemberId(); boot != to.Boot {
		return fmt.Errorf("%w: the process there is boot %q", ErrStaleIncarnation, boot)
	}
	return nil
}

// send writes a batch. What goes wrong is for receive to say.
func (c *connection) send(batch *remote.RemoteMessage) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.stream.Send(batch)
}

// receive waits until the stream breaks, and returns why.
func (c *connection) receive() error {
	for {
		message, err := c.stream.Recv()
		switch {
		case err != nil:
			return err
		case message.GetDisconnectRequest() != nil:
			return errGoodbye
		}
	}
}

func (c *connection) close() {
	c.cancel()
	_ = c.client.Close()
}
