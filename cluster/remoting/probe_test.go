package remoting_test

import (
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"singularity/cluster/remoting"
)

func TestProbeReachesANodeAndLeavesItAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heard, refused := newEvents(), make(chan remoting.Refusal, 10)
	a := w.node(t, remoting.Config{Notify: heard.notify, Refused: func(r remoting.Refusal) { refused <- r }})
	check(t, remoting.Probe(t.Context(), prober(w.identity(t)), a.Self()))
	mustCall(t, w.node(t, remoting.Config{}), a.Self(), "still there")
	if len(heard) > 0 || len(refused) > 0 {
		t.Errorf("the node was told %d things, and refused %d", len(heard), len(refused))
	}
}

func prober(identity remoting.Identity) remoting.Config {
	return remoting.Config{Boot: "prober", TLS: identity, Logger: slog.New(slog.DiscardHandler), Limits: patient(remoting.Limits{})}
}

func TestProbeTellsWhatIsAmiss(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.node(t, remoting.Config{})
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = mute.Close() })
	hasty := prober(w.identity(t))
	hasty.Limits.Dial = 100 * time.Millisecond
	for name, test := range map[string]struct {
		config remoting.Config
		to     remoting.Peer
		want   remoting.Reason
	}{
		"nobody listens":         {prober(w.identity(t)), remoting.Peer{Address: "127.0.0.1:1", Boot: "a"}, remoting.Refused},
		"another boot listens":   {prober(w.identity(t)), remoting.Peer{Address: a.Self().Address, Boot: "a"}, remoting.OtherBoot},
		"somebody else listens":  {hasty, remoting.Peer{Address: mute.Addr().String(), Boot: "a"}, remoting.Keepalive},
		"of another authority":   {prober(newWorld(t).identity(t)), a.Self(), remoting.Untrusted},
		"without certificates":   {prober(nil), a.Self(), remoting.Reset},
		"only who asks has some": {prober(w.identity(t)), listen(t, remoting.Config{}).Self(), remoting.Untrusted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := remoting.Probe(t.Context(), test.config, test.to)
			if broken, ok := errors.AsType[*remoting.LinkError](err); !ok || broken.Reason != test.want {
				t.Errorf("got %v, want reason %q", err, test.want)
			}
		})
	}
}

func TestAddressesAreKnownBeforeListen(t *testing.T) {
	t.Parallel()
	bind, advertise, err := remoting.Config{Bind: "127.0.0.1:7947", Advertise: "node:7"}.Addresses()
	if err != nil || bind != "127.0.0.1:7947" || advertise != "node:7" {
		t.Errorf("got %s and %s, %v", bind, advertise, err)
	}
	if _, _, err := (remoting.Config{Bind: "0.0.0.0:7947"}).Addresses(); err == nil {
		t.Error("beyond loopback without TLS: no error")
	}
}
