package soak

import (
	"testing"

	"singularity/internal/testport"
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

// freeAddress is an address of this machine that no other process has when its
// node comes back.
func freeAddress(t testing.TB) string {
	t.Helper()
	address, err := testport.Free(t.Context(), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return address
}
