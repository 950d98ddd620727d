package remoting

import (
	"context"
	"io"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// endpoint is the stream that protoactor's writer for a peer believes in. It is
// connected at once and never breaks: what is written goes to the link's stream,
// and nowhere while there is none, since whoever waits for it was told. So the
// writer never sleeps after a failure, never blocks a stop, and never announces
// the end of an endpoint that has a successor.
type endpoint struct {
	grpc.ClientStream // nil: the writer uses only what is below

	link    *link // nil if it ended before the writer began
	greeted bool
}

// endpoints makes gRPC give protoactor's writers their endpoints. The
// connections that the writers have made for themselves lead nowhere.
func endpoints(linkAt func(target string) *link) []grpc.DialOption {
	open := func(_ context.Context, _ *grpc.StreamDesc, conn *grpc.ClientConn, _ string, _ grpc.Streamer, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		return &endpoint{link: linkAt(conn.Target())}, nil
	}
	return []grpc.DialOption{grpc.WithStreamInterceptor(open), grpc.WithResolvers(nowhere{})}
}

// SendMsg writes a batch, on the goroutine of the writer: while it waits for
// the peer to read, the queue does.
func (e *endpoint) SendMsg(message any) error {
	m, ok := message.(*remote.RemoteMessage)
	if batch := m.GetMessageBatch(); ok && batch != nil && e.link != nil {
		e.link.write(batch)
	}
	return nil
}

// RecvMsg answers the writer's greeting, and then lasts as long as the link.
func (e *endpoint) RecvMsg(message any) error {
	if m, ok := message.(*remote.RemoteMessage); ok && !e.greeted {
		e.greeted = true
		m.MessageType = &remote.RemoteMessage_ConnectResponse{ConnectResponse: &remote.ConnectResponse{}}
		return nil
	}
	if e.link != nil {
		<-e.link.gone
	}
	return io.EOF
}

// CloseSend has nothing to close.
func (e *endpoint) CloseSend() error { return nil }

// write sends what is still wanted of a batch of protoactor's queue.
func (l *link) write(batch *remote.MessageBatch) {
	taken, stream := l.take(len(batch.GetEnvelopes()))
	wanted := make([]*remote.MessageEnvelope, 0, len(taken))
	for i, o := range taken {
		if o.taken {
			wanted = append(wanted, batch.GetEnvelopes()[i])
		}
	}
	if stream != nil && len(wanted) > 0 {
		batch.Envelopes = wanted
		stream.send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: batch}})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range taken {
		o.passed()
	}
}

// take removes the next n from the queue, which is empty once the link has ended.
// Those that somebody waits for, and replies, are marked as taken.
func (l *link) take(n int) ([]*outgoing, *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.queue))
	taken := l.queue[:n:n]
	l.queue = l.queue[n:]
	for _, o := range taken {
		o.taken = l.stream != nil && (o.done != nil || o.envelope.GetReply())
	}
	return taken, l.stream
}

// nowhere resolves names to no address at all.
type nowhere struct{}

func (nowhere) Scheme() string                        { return "passthrough" }
func (nowhere) ResolveNow(resolver.ResolveNowOptions) {}
func (nowhere) Close()                                {}

func (nowhere) Build(resolver.Target, resolver.ClientConn, resolver.BuildOptions) (resolver.Resolver, error) {
	return nowhere{}, nil
}
