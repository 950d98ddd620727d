package remoting

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"singularity/messages"
)

var envelopeType = string(proto.MessageName((*messages.Envelope)(nil)))

// inbound is a stream from a peer, as protoactor's reader sees it: a hello, and
// then nothing but envelopes from that peer to the inbox.
type inbound struct {
	grpc.ServerStream

	who     string // as the certificate says
	self    Peer
	log     *slog.Logger
	refused func(Refusal)
	left    chan struct{} // closed when the stream has ended

	peer  Peer // as its hello said
	amiss int  // messages that did not pass

	sending sync.Mutex // the reader answers the hello, the guard says goodbye
}

// RecvMsg reads the next message that the reader may see.
func (in *inbound) RecvMsg(message any) error {
	for {
		if err := in.ServerStream.RecvMsg(message); err != nil {
			return err
		}
		m, ok := message.(*remote.RemoteMessage)
		if !ok {
			return status.Errorf(codes.Internal, "the reader wants a %T", message)
		}
		switch content := m.GetMessageType().(type) {
		case *remote.RemoteMessage_ConnectRequest:
			return in.hello(content.ConnectRequest)
		case *remote.RemoteMessage_MessageBatch:
			if in.peer == (Peer{}) {
				return status.Error(codes.InvalidArgument, "a message before the hello")
			}
			if in.sift(content.MessageBatch) {
				return nil
			}
		default:
			in.refuse(fmt.Errorf("a %T is for clients", content))
		}
	}
}

// hello learns which boot is at the other end.
func (in *inbound) hello(request *remote.ConnectRequest) error {
	hello := request.GetServerConnection()
	p, err := parsePeer(hello.GetAddress())
	switch {
	case err != nil:
		return status.Errorf(codes.InvalidArgument, "hello: %v", err)
	case p.Boot != hello.GetSystemId():
		return status.Errorf(codes.InvalidArgument, "hello: boot %q at the address of %s", hello.GetSystemId(), p)
	case in.peer != (Peer{}):
		return status.Error(codes.InvalidArgument, "a second hello")
	}
	in.peer = p
	return nil
}

// sift leaves in a batch what is in order, in a form that cannot mislead the
// reader, and reports whether that is anything at all.
func (in *inbound) sift(batch *remote.MessageBatch) bool {
	kept := batch.Envelopes[:0]
	for _, wrapped := range batch.GetEnvelopes() {
		if err := in.inspect(batch, wrapped); err != nil {
			in.refuse(err)
			continue
		}
		kept = append(kept, &remote.MessageEnvelope{MessageData: wrapped.GetMessageData()})
	}
	batch.TypeNames = []string{envelopeType}
	batch.Targets = []*actor.PID{{Address: in.self.String(), Id: inboxName}}
	batch.Senders = nil
	batch.Envelopes = kept
	return len(kept) > 0
}

// inspect reads what the reader will read. It does so by itself, since one
// message that cannot be read would take all that follow it along.
func (in *inbound) inspect(batch *remote.MessageBatch, wrapped *remote.MessageEnvelope) error {
	if i := int(wrapped.GetTypeId()); i < 0 || i >= len(batch.GetTypeNames()) || batch.GetTypeNames()[i] != envelopeType {
		return fmt.Errorf("type %d of %.100q: only %s passes", i, batch.GetTypeNames(), envelopeType)
	}
	if i := int(wrapped.GetTarget()); i < 0 || i >= len(batch.GetTargets()) || batch.GetTargets()[i].GetId() != inboxName {
		return fmt.Errorf("target %d of %.100q: only %s can be reached", i, batch.GetTargets(), inboxName)
	}
	if wrapped.GetSerializerId() != remote.DefaultSerializerID {
		return fmt.Errorf("serializer %d: only %d is known", wrapped.GetSerializerId(), remote.DefaultSerializerID)
	}
	var e messages.Envelope
	if err := proto.Unmarshal(wrapped.GetMessageData(), &e); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if from := sourceOf(&e); from != in.peer {
		return fmt.Errorf("envelope of %s in the stream of %s", from, in.peer)
	}
	return deliveryOf(&e).validate(maxPayload)
}

// refuse logs the first message of a stream that does not pass.
func (in *inbound) refuse(err error) {
	in.refused(RefusedMessage)
	in.amiss++
	if in.amiss == 1 {
		in.log.Warn("refused a message", "peer", in.who, "boot", in.peer.Boot, "error", err)
	}
}

// sumUp logs how many did not pass, if the first was not the only one.
func (in *inbound) sumUp() {
	if in.amiss > 1 {
		in.log.Warn("refused messages", "peer", in.who, "boot", in.peer.Boot, "count", in.amiss)
	}
}

// SendMsg is safe to call from several goroutines.
func (in *inbound) SendMsg(message any) error {
	in.sending.Lock()
	defer in.sending.Unlock()
	return in.ServerStream.SendMsg(message)
}

// goodbye asks the peer to end the stream. One that is away will not miss it.
func (in *inbound) goodbye() {
	_ = in.SendMsg(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_DisconnectRequest{DisconnectRequest: &remote.DisconnectRequest{}}})
}
