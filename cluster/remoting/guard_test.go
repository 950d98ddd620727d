package remoting_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"singularity/cluster/certs"
	"singularity/cluster/remoting"
	"singularity/messages"
)

// intruder speaks protoactor's protocol by hand, with whatever certificate.
type intruder struct {
	client remote.RemotingClient
	self   remoting.Peer
}

func intrude(t *testing.T, victim remoting.Peer, config *tls.Config) *intruder {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+victim.Address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return &intruder{remote.NewRemotingClient(conn), remoting.Peer{Address: "127.0.0.1:1", Boot: "intruder"}}
}

// open begins a stream that is meant for a boot, without a hello.
func (i *intruder) open(t *testing.T, boot string) remote.Remoting_ReceiveClient {
	t.Helper()
	stream, err := i.client.Receive(metadata.AppendToOutgoingContext(t.Context(), "singularity-target-boot", boot))
	check(t, err)
	return stream
}

// greet begins a stream as a node does.
func (i *intruder) greet(t *testing.T, victim remoting.Peer) remote.Remoting_ReceiveClient {
	t.Helper()
	stream := i.open(t, victim.Boot)
	check(t, stream.Send(hello(i.self.Boot, i.self.String())))
	answer, err := stream.Recv()
	check(t, err)
	if answer.GetConnectResponse().GetMemberId() != victim.Boot {
		t.Fatalf("answer %v to a hello", answer)
	}
	return stream
}

func hello(boot, address string) *remote.RemoteMessage {
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{SystemId: boot, Address: address}},
	}}}
}

func batch(b *remote.MessageBatch) *remote.RemoteMessage {
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}}
}

// one is a batch of one message to one actor.
func one(t *testing.T, name string, m proto.Message, serializer int32) *remote.RemoteMessage {
	t.Helper()
	data, err := proto.Marshal(m)
	check(t, err)
	return batch(&remote.MessageBatch{
		TypeNames: []string{string(proto.MessageName(m))}, Targets: []*actor.PID{{Address: "x", Id: name}},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data, SerializerId: serializer}},
	})
}

func TestPeerThatSendsNonsenseChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := newLines()
	delivered := make(chan remoting.Delivery, 100)
	b := w.node(t, remoting.Config{Logger: log.logger(), Deliver: func(_ context.Context, d remoting.Delivery) (remoting.Reply, error) {
		delivered <- d
		return remoting.Reply{}, nil
	}})
	a := w.node(t, remoting.Config{})
	mustAnswer(t, a, b.Self())
	await(t, delivered, "the message of a")

	i := intrude(t, b.Self(), w.identity(t).Client())
	stream := i.greet(t, b.Self())
	good := &messages.Envelope{MessageId: "good", SourceAddress: i.self.Address, SourceBoot: i.self.Boot, TargetBoot: b.Self().Boot}
	forged := proto.CloneOf(good)
	forged.SourceBoot = a.Self().Boot
	large := proto.CloneOf(good)
	large.Payload = make([]byte, 600<<10)
	data, err := proto.Marshal(good)
	check(t, err)
	names, inbox := []string{"singularity.v1.Envelope"}, []*actor.PID{{Id: "inbox"}}
	for _, nonsense := range []*remote.RemoteMessage{
		one(t, "inbox", &emptypb.Empty{}, 0),
		one(t, "inbox", &actor.Stop{}, 0),
		one(t, "inbox", &actor.PoisonPill{}, 0),
		one(t, "activator", &actor.Stop{}, 0),
		one(t, "activator", &remote.ActorPidRequest{Name: "x", Kind: "y"}, 0),
		one(t, "activator", good, 0),
		one(t, "EndpointSupervisor", good, 0),
		one(t, "inbox", &actor.Watch{Watcher: &actor.PID{Address: "x", Id: "y"}}, 0),
		one(t, "inbox", &actor.Terminated{Who: &actor.PID{Address: a.Self().String(), Id: "inbox"}}, 0),
		one(t, "inbox", good, 1),
		one(t, "inbox", good, 99),
		one(t, "inbox", good, -1),
		one(t, "inbox", forged, 0),
		one(t, "inbox", large, 0),
		batch(&remote.MessageBatch{Envelopes: []*remote.MessageEnvelope{{}}}),
		batch(&remote.MessageBatch{TypeNames: []string{"no.such.Type"}, Targets: inbox, Envelopes: []*remote.MessageEnvelope{{MessageData: data}}}),
		batch(&remote.MessageBatch{TypeNames: names, Targets: inbox, Envelopes: []*remote.MessageEnvelope{{MessageData: []byte("\xff\xff")}}}),
		batch(&remote.MessageBatch{TypeNames: names, Targets: inbox, Envelopes: []*remote.MessageEnvelope{{MessageData: data, TypeId: 5}}}),
		batch(&remote.MessageBatch{TypeNames: names, Targets: inbox, Envelopes: []*remote.MessageEnvelope{{MessageData: data, TypeId: math.MinInt32}}}),
		batch(&remote.MessageBatch{TypeNames: names, Targets: inbox, Envelopes: []*remote.MessageEnvelope{{MessageData: data, Target: -1}}}),
		batch(&remote.MessageBatch{TypeNames: names, Targets: []*actor.PID{nil}, Envelopes: []*remote.MessageEnvelope{{MessageData: data}}}),
		batch(nil),
		{},
		{MessageType: &remote.RemoteMessage_DisconnectRequest{DisconnectRequest: &remote.DisconnectRequest{}}},
		{MessageType: &remote.RemoteMessage_ConnectResponse{ConnectResponse: &remote.ConnectResponse{Blocked: true}}},
	} {
		check(t, stream.Send(nonsense))
	}
	// What is in order passes even beside what is not, whatever hangs on it.
	check(t, stream.Send(batch(&remote.MessageBatch{
		TypeNames: append([]string{"no.such.Type"}, names...), Targets: inbox, Senders: []*actor.PID{{Address: "x", Id: "y"}},
		Envelopes: []*remote.MessageEnvelope{
			{MessageData: data},
			{MessageData: data, TypeId: 1, Sender: 77, TargetRequestId: 3, MessageHeader: &remote.MessageHeader{HeaderData: map[string]string{"a": "b"}}},
		},
	})))
	if d := await(t, delivered, "the good message"); d.ID != "good" || d.From != i.self {
		t.Errorf("delivered %+v", d)
	}
	mustAnswer(t, a, b.Self())
	if d := await(t, delivered, "the message of a"); d.From != a.Self() {
		t.Errorf("delivered %+v", d)
	}
	check(t, stream.CloseSend())
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	// Who it was: the name in the certificate, and the boot in the hello.
	log.awaitAll(t, `peer="127.0.0.1 (127.0.0.1:`, "boot=intruder", "only singularity.v1.Envelope passes", "refused messages", "count=25")
}

func TestStreamThatDoesNotBeginWithAHelloIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{})
	a := w.node(t, remoting.Config{})
	i := intrude(t, b.Self(), w.identity(t).Client())
	own := i.self.String()
	for what, c := range map[string]struct {
		boot string
		send []*remote.RemoteMessage
		code codes.Code
	}{
		"for another boot":       {"earlier", []*remote.RemoteMessage{hello("intruder", own)}, codes.FailedPrecondition},
		"for no boot":            {"", []*remote.RemoteMessage{hello("intruder", own)}, codes.FailedPrecondition},
		"a message first":        {b.Self().Boot, []*remote.RemoteMessage{one(t, "inbox", &messages.Envelope{}, 0)}, codes.InvalidArgument},
		"two hellos":             {b.Self().Boot, []*remote.RemoteMessage{hello("intruder", own), hello("intruder", own)}, codes.InvalidArgument},
		"two boots":              {b.Self().Boot, []*remote.RemoteMessage{hello("other", own)}, codes.InvalidArgument},
		"no address":             {b.Self().Boot, []*remote.RemoteMessage{hello("intruder", "")}, codes.InvalidArgument},
		"a client's hello":       {b.Self().Boot, []*remote.RemoteMessage{{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{}}}}, codes.InvalidArgument},
		"a hello without a body": {b.Self().Boot, []*remote.RemoteMessage{{MessageType: &remote.RemoteMessage_ConnectRequest{}}}, codes.InvalidArgument},
	} {
		stream := i.open(t, c.boot)
		for _, m := range c.send {
			if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", what, err)
			}
		}
		var err error
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != c.code {
			t.Errorf("%s: ended with %v, expected %s", what, err, c.code)
		}
	}
	mustCall(t, a, b.Self(), "hello")
}

func TestFrameThatCannotBeReadEndsItsStreamAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := newLines()
	b := w.node(t, remoting.Config{Logger: log.logger()})
	a := w.node(t, remoting.Config{})
	conn, err := grpc.NewClient("passthrough:///"+b.Self().Address, grpc.WithTransportCredentials(credentials.NewTLS(w.identity(t).Client())))
	check(t, err)
	defer conn.Close()
	for what, c := range map[string]struct {
		frame []byte
		code  codes.Code
	}{
		"not protobuf":   {[]byte("\xff\xff\xff"), codes.Internal},
		"cut off":        {[]byte{0x0a, 0x7f, 0x01}, codes.Internal},
		"over the limit": {make([]byte, 40<<20), codes.ResourceExhausted},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "singularity-target-boot", b.Self().Boot)
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/remote.Remoting/Receive",
			grpc.ForceCodec(raw{}))
		check(t, err)
		if err := stream.SendMsg(c.frame); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", what, err)
		}
		if err := stream.RecvMsg(new([]byte)); status.Code(err) != c.code {
			t.Errorf("%s: the stream ended with %v, expected %s", what, err, c.code)
		}
	}
	log.awaitAll(t, `peer="127.0.0.1 (127.0.0.1:`, "failed to unmarshal", "larger than max")
	mustCall(t, a, b.Self(), "hello")
}

// raw is a codec that leaves frames as they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = data
	return nil
}

func TestMessageThatNamesAnotherBootIsAnsweredButNotDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{Deliver: func(context.Context, remoting.Delivery) (remoting.Reply, error) {
		t.Error("it was delivered")
		return remoting.Reply{}, nil
	}})
	replies := newReplies(t, w.identity(t))
	i := intrude(t, b.Self(), w.identity(t).Client())
	i.self = replies.self
	check(t, i.greet(t, b.Self()).Send(one(t, "inbox", &messages.Envelope{
		MessageId: "old", SourceAddress: i.self.Address, SourceBoot: i.self.Boot, TargetBoot: "earlier",
	}, 0)))
	reply := await(t, replies.envelopes, "the reply")
	if !reply.GetReply() || reply.GetMessageId() != "old" || reply.GetError().GetCode() != messages.EnvelopeError_CODE_STALE_INCARNATION {
		t.Errorf("reply %v", reply)
	}
}

func TestCallsBesideTheStreamAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.node(t, remoting.Config{})
	i := intrude(t, b.Self(), w.identity(t).Client())
	_, err := i.client.ListProcesses(t.Context(), &remote.ListProcessesRequest{Pattern: "inbox"})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("list of processes: %v", err)
	}
	_, err = i.client.GetProcessDiagnostics(t.Context(), &remote.GetProcessDiagnosticsRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("diagnostics: %v", err)
	}
}

func TestOnlyNodesOfTheClusterAreLetIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := newLines()
	b := w.node(t, remoting.Config{Logger: log.logger()})

	t.Run("without a certificate", func(t *testing.T) {
		config := w.identity(t).Client()
		config.Certificates = nil
		_, err := intrude(t, b.Self(), config).client.ListProcesses(t.Context(), &remote.ListProcessesRequest{})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("error %v", err)
		}
	})
	log.awaitAll(t, "refused a connection", "didn't provide a certificate")
	elsewhere := t.TempDir()
	check(t, certs.Init(elsewhere, "test"))
	for name, identity := range map[string]*certs.Identity{
		"of another authority":             world{elsewhere}.identity(t),
		"of another cluster and authority": newWorld(t).identity(t),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			stranger := listen(t, remoting.Config{TLS: identity})
			_, err := stranger.Call(t.Context(), b.Self(), remoting.Message{Type: "echo"})
			expect(t, err, remoting.ErrUntrusted)
			expect(t, err, remoting.ErrUnreachable)
			expect(t, stranger.Tell(t.Context(), b.Self(), remoting.Message{Type: "echo"}), remoting.ErrUntrusted)
			t.Logf("refused after %s: %v", time.Since(began), err)
		})
	}
	for name, identity := range map[string]remoting.Identity{
		"which trust all, but show a foreign certificate":  gullible{world{elsewhere}.identity(t)},
		"which trust the cluster, but show no certificate": anonymous{w.identity(t)},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 { // TLS 1.3 lets a client believe for a moment that it was accepted
				stranger := listen(t, remoting.Config{TLS: identity})
				_, err := stranger.Call(t.Context(), b.Self(), remoting.Message{Type: "echo"})
				expect(t, err, remoting.ErrUntrusted)
			}
		})
	}
	t.Run("of another cluster with the same authority", func(t *testing.T) {
		foreign := listen(t, remoting.Config{TLS: narrow{w.identity(t)}})
		_, err := w.node(t, remoting.Config{}).Call(t.Context(), foreign.Self(), remoting.Message{Type: "echo"})
		expect(t, err, remoting.ErrUntrusted)
		_, err = foreign.Call(t.Context(), b.Self(), remoting.Message{Type: "echo"})
		expect(t, err, remoting.ErrUntrusted)
	})
}

func TestNodeWithoutACertificateIsToldThatOthersHaveOne(t *testing.T) {
	t.Parallel()
	log := newLines()
	plain := listen(t, remoting.Config{Logger: log.logger()})
	secure := newWorld(t).node(t, remoting.Config{})
	_, err := secure.Call(t.Context(), plain.Self(), remoting.Message{Type: "echo"})
	expect(t, err, remoting.ErrUntrusted)
	log.awaitAll(t, "refused a connection", "--tls-dir")
	_, err = plain.Call(t.Context(), secure.Self(), remoting.Message{Type: "echo"})
	expect(t, err, remoting.ErrUnreachable)
}

// gullible accepts every server.
type gullible struct{ *certs.Identity }

func (g gullible) Client() *tls.Config {
	config := g.Identity.Client()
	config.InsecureSkipVerify = true
	return config
}

// anonymous shows no certificate to servers.
type anonymous struct{ *certs.Identity }

func (a anonymous) Client() *tls.Config {
	config := a.Identity.Client()
	config.Certificates = nil
	return config
}

// narrow accepts nobody.
type narrow struct{ *certs.Identity }

func (narrow) Authorise(*x509.Certificate) (string, error) {
	return "", errors.New("the certificate is for another cluster")
}

// replies is a server that speaks protoactor's protocol by hand.
type replies struct {
	remote.UnimplementedRemotingServer

	self      remoting.Peer
	envelopes chan *messages.Envelope
}

func newReplies(t *testing.T, identity *certs.Identity) *replies {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	r := &replies{self: remoting.Peer{Address: listener.Addr().String(), Boot: "by-hand"}, envelopes: make(chan *messages.Envelope, 10)}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(identity.Server())))
	remote.RegisterRemotingServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *replies) Receive(stream remote.Remoting_ReceiveServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if m.GetConnectRequest() != nil {
			answer := &remote.ConnectResponse{MemberId: r.self.Boot}
			if err := stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectResponse{ConnectResponse: answer}}); err != nil {
				return err
			}
		}
		for _, wrapped := range m.GetMessageBatch().GetEnvelopes() {
			var e messages.Envelope
			if err := proto.Unmarshal(wrapped.GetMessageData(), &e); err != nil {
				return err
			}
			r.envelopes <- &e
		}
	}
}
