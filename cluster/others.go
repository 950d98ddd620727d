package cluster

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
)

// others are the other members, as far as this one sees and reaches them. It is
// safe for concurrent use.
type others struct {
	most int // streams that are kept

	mu       sync.Mutex
	peers    map[string]remoting.Peer // that take messages, by boot
	seen     map[string]bool          // addresses of the gossip of all members
	expected []string                 // addresses that were registered last
	stands   map[remoting.Peer]bool   // has a stream
}

// usualStreams is how many streams [remoting.Limits] keeps by default.
const usualStreams = 16

func newOthers(limits remoting.Limits) *others {
	return &others{most: cmp.Or(limits.Standing, usualStreams), stands: map[remoting.Peer]bool{}}
}

// see takes in a view, and returns to whom streams are wanted.
func (o *others) see(self string, view gossip.View) []remoting.Peer {
	peers, seen := map[string]remoting.Peer{}, map[string]bool{}
	for _, member := range view.Members() {
		seen[member.Address] = true
		if member.Boot != self && member.Actors != "" {
			peers[member.Boot] = remoting.Peer{Address: member.Actors, Boot: member.Boot}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.peers, o.seen = peers, seen
	return slices.Collect(maps.Values(peers))
}

// expect takes in who is registered, and reports whether that is news.
func (o *others) expect(addresses []string) bool {
	addresses = slices.Sorted(slices.Values(addresses))
	o.mu.Lock()
	defer o.mu.Unlock()
	same := slices.Equal(o.expected, addresses)
	o.expected = addresses
	return !same
}

// stand takes in whether the stream to a peer stands.
func (o *others) stand(peer remoting.Peer, stands bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stands {
		o.stands[peer] = true
	} else {
		delete(o.stands, peer)
	}
}

func (o *others) complete() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.allReached()
}

// standing counts who is missing in a view, and the streams.
func (o *others) standing(view gossip.View) Standing {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Standing{Streams: o.streams(), Complete: o.allReached()}
	for _, address := range o.expected {
		if !view.Occupied(address) {
			s.Missing++
		}
	}
	return s
}

// allReached, as streams, is for who holds the mutex.
func (o *others) allReached() bool {
	for _, address := range o.expected {
		if !o.seen[address] {
			return false
		}
	}
	return o.streams() >= min(len(o.peers), o.most)
}

func (o *others) streams() (count int) {
	for _, peer := range o.peers {
		if o.stands[peer] {
			count++
		}
	}
	return count
}

func (o *others) peer(boot string) (remoting.Peer, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	peer, known := o.peers[boot]
	return peer, known
}

func (o *others) all() []remoting.Peer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Values(o.peers))
}
