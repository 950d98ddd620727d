package remoting_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/types/known/emptypb"

	"singularity/cluster/remoting"
)

func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refused := make(chan remoting.Refusal, 10)
	b := w.node(t, remoting.Config{Refused: func(what remoting.Refusal) { refused <- what }})
	want := func(what string, wanted remoting.Refusal) {
		t.Helper()
		if got := await(t, refused, what); got != wanted {
			t.Errorf("%s is a refusal of kind %d, want %d", what, got, wanted)
		}
	}

	// One that looks for an earlier boot is one of the cluster's, and is not told.
	earlier := remoting.Peer{Address: b.Self().Address, Boot: "earlier"}
	_, err := w.node(t, remoting.Config{}).Call(t.Context(), earlier, remoting.Message{Type: "echo"})
	expect(t, err, remoting.ErrStaleIncarnation)

	member := intrude(t, b.Self(), w.identity(t).Client())
	check(t, member.greet(t, b.Self()).Send(one(t, "inbox", &emptypb.Empty{}, 0)))
	want("a message that is no envelope", remoting.RefusedMessage)

	_, _ = member.client.ListProcesses(t.Context(), &remote.ListProcessesRequest{})
	want("a call that is not served", remoting.RefusedPeer)

	anonymous := w.identity(t).Client()
	anonymous.Certificates = nil
	_, _ = intrude(t, b.Self(), anonymous).client.ListProcesses(t.Context(), &remote.ListProcessesRequest{})
	want("a connection without a certificate", remoting.RefusedPeer)
}
