package remoting

import (
	"fmt"
	"slices"
	"testing"
)

func ringOf(n int) []Peer {
	peers := make([]Peer, n)
	for i := range peers {
		peers[i] = Peer{Address: "127.0.0.1:1", Boot: fmt.Sprintf("%03d", i)}
	}
	return peers
}

func TestFewPeersAreAllNeighbours(t *testing.T) {
	t.Parallel()
	peers := ringOf(5)
	chosen := neighbours(peers[2], append(peers, peers[4]), 4)
	if !slices.Equal(chosen, []Peer{peers[0], peers[1], peers[3], peers[4]}) {
		t.Errorf("neighbours %v", chosen)
	}
}

func TestEachOfManyPeersIsWatchedByAsManyAsItWatches(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, 5, 16} {
		watchers := map[Peer]int{}
		peers := ringOf(40)
		for _, self := range peers {
			chosen := neighbours(self, peers, most)
			if len(chosen) != most || slices.Contains(chosen, self) {
				t.Fatalf("%s watches %v, expected %d others", self, chosen, most)
			}
			for _, p := range chosen {
				watchers[p]++
			}
		}
		for _, p := range peers {
			if watchers[p] != most {
				t.Errorf("%s is watched by %d, expected %d", p, watchers[p], most)
			}
		}
	}
}
