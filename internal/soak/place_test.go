package soak

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// place is where a node is reached, whichever process that is.
type place struct{ http, gossip, actors string }

func newPlace(t testing.TB) place {
	t.Helper()
	return place{freeAddress(t), freeAddress(t), freeAddress(t)}
}

// launchIn adds a node at a place.
func (c *cluster) launchIn(p place) *node {
	c.t.Helper()
	return c.launchAt(c.url, []string{"-http", p.http, "-gossip", p.gossip, "-actors", p.actors})
}

// lastPort is the last that freeAddress returned. All are below those that the
// kernel gives to connections, which would otherwise have one now and then when
// its node comes back.
var lastPort atomic.Int64

func init() { lastPort.Store(12_000 + rand.Int64N(15_000)) }

// freeAddress is an address of this machine that nobody listens at, nor got
// before.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := net.JoinHostPort("127.0.0.1", strconv.FormatInt(lastPort.Add(1), 10))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			continue
		}
		packets, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", address)
		if err == nil {
			err = packets.Close()
		}
		if listener.Close() == nil && err == nil {
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
