package remoting

import (
	"cmp"
	"slices"
)

// neighbours chooses to whom a node keeps standing streams: to all others, or, if
// they are more than most, to the nearest on either side in the ring of all boots.
// Each node is then watched by as many as it watches.
func neighbours(self Peer, peers []Peer, most int) []Peer {
	ring := slices.DeleteFunc(slices.Clone(peers), func(p Peer) bool { return p == self })
	slices.SortFunc(ring, comparePeers)
	ring = slices.Compact(ring)
	if len(ring) <= most {
		return ring
	}
	place, _ := slices.BinarySearchFunc(ring, self, comparePeers)
	chosen := make([]Peer, 0, most)
	for step := range most {
		offset := step / 2 // 0, -1, 1, -2, 2, …: those at and before its own place
		if step%2 == 1 {
			offset = -1 - offset
		}
		chosen = append(chosen, ring[(place+offset+len(ring))%len(ring)])
	}
	return chosen
}

func comparePeers(a, b Peer) int {
	return cmp.Or(cmp.Compare(a.Boot, b.Boot), cmp.Compare(a.Address, b.Address))
}
