package remoting_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"singularity/cluster/certs"
	"singularity/cluster/remoting"
)

// BenchmarkRoundTrip asks for an echo of 100 bytes, one after the other: on the
// node itself, on another one over mutual TLS, and by protoactor's own futures
// over the same.
func BenchmarkRoundTrip(b *testing.B) {
	authority, dir := b.TempDir(), b.TempDir()
	check(b, certs.Init(authority, "bench"))
	check(b, certs.Node(authority, dir, "127.0.0.1"))
	identity, err := certs.Load(dir, slog.New(slog.DiscardHandler))
	check(b, err)
	payload := make([]byte, 100)

	var nodes [2]*remoting.Node
	for i := range nodes {
		nodes[i], err = remoting.Listen(remoting.Config{Boot: "bench-" + strconv.Itoa(i), TLS: identity, Deliver: echo})
		check(b, err)
		b.Cleanup(nodes[i].Close)
	}
	call := func(to remoting.Peer) func() error {
		return func() error {
			_, err := nodes[0].Call(context.Background(), to, remoting.Message{Type: "echo", Target: "run/1", Payload: payload})
			return err
		}
	}
	near, far := newProtoactor(b, identity), newProtoactor(b, identity)
	pid := far.spawnEcho(b)
	request := func() error {
		_, err := near.Root.RequestFuture(pid, wrapperspb.Bytes(payload), 5*time.Second).Result()
		return err
	}
	b.Run("local", func(b *testing.B) { measure(b, call(nodes[0].Self())) })
	b.Run("remote", func(b *testing.B) { measure(b, call(nodes[1].Self())) })
	b.Run("protoactor", func(b *testing.B) { measure(b, request) })
}

// measure reports the quantiles of round trips.
func measure(b *testing.B, roundTrip func() error) {
	b.Helper()
	check(b, roundTrip()) // connects
	b.ReportAllocs()
	took := make([]time.Duration, 0, 1<<16)
	for b.Loop() {
		began := time.Now()
		check(b, roundTrip())
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}

// protoactor is its remote with its own configuration, but for TLS.
type protoactor struct{ *actor.ActorSystem }

func newProtoactor(b *testing.B, identity *certs.Identity) protoactor {
	b.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	port := free.Addr().(*net.TCPAddr).Port
	check(b, free.Close())
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	r := remote.NewRemote(system, remote.Configure("127.0.0.1", port,
		remote.WithServerOptions(grpc.Creds(credentials.NewTLS(identity.Server()))),
		remote.WithDialOptions(grpc.WithTransportCredentials(credentials.NewTLS(identity.Client()))),
	))
	r.Start()
	b.Cleanup(func() { r.Shutdown(false) })
	return protoactor{system}
}

func (p protoactor) spawnEcho(b *testing.B) *actor.PID {
	b.Helper()
	pid, err := p.Root.SpawnNamed(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*wrapperspb.BytesValue); ok {
			c.Respond(m)
		}
	}), "echo")
	check(b, err)
	return pid
}
