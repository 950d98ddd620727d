// Package faultnet makes a process lose what it exchanges with some of its
// peers, without any rights: its packets vanish, and its streams get no further
// than they would on a network that is cut, until that is mended. It is part of
// programs for fault tests alone.
//
// Streams are held up by the side that dials, in both directions, packets are
// lost by the side that sends. So two processes are cut from each other when
// each loses all that it sends to the other, and all that the other sends.
package faultnet

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Loss is what gets lost, in percent: of what goes Out to a peer, and of what
// comes In from it. At 100 streams stand still, below they are slow.
type Loss struct {
	Out int `json:"out"`
	In  int `json:"in"`
}

// cut is the percentage at which nothing passes.
const cut = 100

// network is what this process knows of its peers.
type network struct {
	mu      sync.Mutex
	losses  map[string]Loss // by host:port
	changed chan struct{}   // closed and replaced with the losses

	lost atomic.Int64
}

// here is the one network of this process: what uses it is deep inside of the
// programs, and gets nothing from them.
var here = &network{changed: make(chan struct{})}

// Suffer makes these the losses that there are, by the host:port of peers.
func Suffer(losses map[string]Loss) {
	here.mu.Lock()
	defer here.mu.Unlock()
	here.losses = losses
	close(here.changed)
	here.changed = make(chan struct{})
}

// Lost is how many packets were lost, and how often a stream was held up.
func Lost() int { return int(here.lost.Load()) }

// to returns the loss on the way to a peer and back, until it changes.
func (n *network) to(address string) (l Loss, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.losses[address], n.changed
}

// takes decides whether a loss of so many percent takes one thing, and counts
// that.
func (n *network) takes(percent int) bool {
	taken := rand.N(cut) < percent
	if taken {
		n.lost.Add(1)
	}
	return taken
}
