package remoting

import (
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/proto"

	"singularity/messages"
)

// FuzzSift looks at what is left of any batch as protoactor's reader does, which
// indexes and decodes without a check.
func FuzzSift(f *testing.F) {
	sender := Peer{Address: "127.0.0.1:1", Boot: "a"}
	envelope, err := proto.Marshal(&messages.Envelope{SourceAddress: sender.Address, SourceBoot: sender.Boot, Payload: []byte("x")})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []*remote.MessageBatch{
		{},
		{TypeNames: []string{envelopeType}, Targets: []*actor.PID{{Id: inboxName}}, Envelopes: []*remote.MessageEnvelope{{MessageData: envelope}}},
		{TypeNames: []string{"actor.Stop"}, Targets: []*actor.PID{{Id: inboxName}}, Envelopes: []*remote.MessageEnvelope{{TypeId: 9, Target: -1, SerializerId: 7}}},
	} {
		data, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var batch remote.MessageBatch
		if proto.Unmarshal(data, &batch) != nil {
			return
		}
		in := &inbound{peer: sender, self: Peer{Address: "127.0.0.1:2", Boot: "b"}, log: slog.New(slog.DiscardHandler), refused: func(Refusal) {}}
		arrived := len(batch.GetEnvelopes())
		some := in.sift(&batch)
		if left := len(batch.GetEnvelopes()); some != (left > 0) || left+in.amiss != arrived {
			t.Fatalf("%d arrived, %d were refused, %d are left", arrived, in.amiss, left)
		}
		for _, e := range batch.GetEnvelopes() {
			if target := batch.Targets[e.GetTarget()]; target.GetId() != inboxName || target.GetAddress() != in.self.String() || e.GetSender() != 0 {
				t.Fatalf("%v to %v", e, target)
			}
			message, err := remote.Deserialize(e.GetMessageData(), batch.TypeNames[e.GetTypeId()], e.GetSerializerId())
			if err != nil {
				t.Fatal(err)
			}
			if envelope, ok := message.(*messages.Envelope); !ok || sourceOf(envelope) != sender {
				t.Fatalf("%v passed", message)
			}
		}
	})
}
