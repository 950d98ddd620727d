package remoting_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"singularity/cluster/remoting"
	"singularity/internal/testport"
)

func TestListenRefusesWhatIsUnsafeOrCannotWork(t *testing.T) {
	t.Parallel()
	identity := newWorld(t).identity(t)
	for what, c := range map[string]struct {
		config   remoting.Config
		expected string
	}{
		"beyond loopback without TLS": {remoting.Config{Boot: "b", Bind: "0.0.0.0:0", Deliver: echo}, "--tls-dir"},
		"everywhere without TLS":      {remoting.Config{Boot: "b", Bind: ":7947", Deliver: echo}, "--tls-dir"},
		"a name without TLS":          {remoting.Config{Boot: "b", Bind: "example.com:1", Deliver: echo}, "--tls-dir"},
		"no address for others":       {remoting.Config{Boot: "b", Bind: "[::]:7947", TLS: identity, Deliver: echo}, "no address for other nodes"},
		"advertised without a port":   {remoting.Config{Boot: "b", Advertise: "host:1", Deliver: echo}, "a port of its own"},
		"advertised address":          {remoting.Config{Boot: "b", Bind: "127.0.0.1:7947", Advertise: "host", Deliver: echo}, "expected host:port"},
		"no port":                     {remoting.Config{Boot: "b", Bind: "127.0.0.1", Deliver: echo}, "expected host:port"},
		"no boot":                     {remoting.Config{Deliver: echo}, `boot ""`},
		"nobody to deliver to":        {remoting.Config{Boot: "b"}, "no Deliver"},
		"large payloads":              {remoting.Config{Boot: "b", Deliver: echo, Limits: remoting.Limits{Payload: 1 << 20}}, "at most 524288"},
		"a small window":              {remoting.Config{Boot: "b", Deliver: echo, Limits: remoting.Limits{Window: 1}}, "a window that holds one"},
	} {
		if _, err := remoting.Listen(c.config); err == nil || !strings.Contains(err.Error(), c.expected) {
			t.Errorf("%s: error %v, expected %q", what, err, c.expected)
		}
	}
}

func TestListenSaysWhenThePortIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer taken.Close()
	_, err = remoting.Listen(remoting.Config{Boot: "b", Bind: taken.Addr().String(), Deliver: echo})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v", err)
	}
}

func TestNodesOnLoopbackTalkWithoutTLS(t *testing.T) {
	t.Parallel()
	a, b := listen(t, remoting.Config{}), listen(t, remoting.Config{Bind: otherLoopback(t)})
	mustCall(t, a, b.Self(), "hello")
	mustCall(t, b, a.Self(), "hello")
	secure := newWorld(t).node(t, remoting.Config{})
	for _, pair := range [][2]*remoting.Node{{a, secure}, {secure, a}} {
		_, err := pair[0].Call(t.Context(), pair[1].Self(), remoting.Message{Type: "echo"})
		expect(t, err, remoting.ErrUnreachable)
	}
}

// otherLoopback is loopback by IPv6, where a machine has it.
func otherLoopback(t *testing.T) string {
	t.Helper()
	const address = "[::1]:0"
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Logf("both nodes talk by IPv4: %v", err)
		return "127.0.0.1:0"
	}
	check(t, listener.Close())
	return address
}

func TestNodeIsReachedAtTheAddressItAdvertises(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address, err := testport.Free(t.Context(), "127.0.0.1")
	check(t, err)
	_, port, err := net.SplitHostPort(address)
	check(t, err)
	b := w.node(t, remoting.Config{Bind: address, Advertise: "localhost:" + port})
	a := w.node(t, remoting.Config{})
	if b.Self().Address != "localhost:"+port {
		t.Errorf("self %s", b.Self())
	}
	mustCall(t, a, b.Self(), "hello")
	mustCall(t, a, remoting.Peer{Address: address, Boot: b.Self().Boot}, "by another address")
	mustCall(t, b, a.Self(), "hello")
}
