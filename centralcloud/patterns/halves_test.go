package patterns_test

import (
	"testing"
	"time"

	"singularity/centralcloud/patterns"
)

func TestWhatOneNodeAloneDoesIsNotAPattern(t *testing.T) {
	t.Parallel()
	for i, flaw := range flaws {
		for name, nodes := range map[string][]int{"one node": {2}, "all nodes": {0, 1, 2, 3}} {
			t.Run(string(flaw.kind)+" of "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorldOf(t, uint64(40+i), 4)
				good := []habit{usual("a", small), usual("b", small), usual("a", large), usual("b", large)}
				for j := range good {
					good[j].nodes = []int{0, 1, 3}
				}
				bad := good[0]
				flaw.spoil(&bad)
				bad.calls, bad.nodes = 24, nodes
				w.live(flaw.after, good...)
				w.live(50*time.Minute, append(good, bad)...)
				if all, found := w.find(flaw.kind); len(found) != len(nodes)/4 {
					t.Errorf("found %v, of that kind %d; want %d", all, len(found), len(nodes)/4)
				}
			})
		}
	}
}

func TestWhereOneNodeMakesAllCallsTimesConfirmEachOther(t *testing.T) {
	t.Parallel()
	for i, flaw := range flaws {
		t.Run(string(flaw.kind), func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, uint64(60+i), 2)
			idle := usual("idle", large)
			idle.calls, idle.nodes = 1, []int{1} // which is too little to be held against the other
			good := []habit{usual("a", small), usual("b", small), usual("a", large), usual("b", large)}
			for j := range good {
				good[j].nodes = []int{0}
				good[j].calls = 12
			}
			bad := append([]habit{idle}, good...)
			flaw.spoil(&bad[1])
			w.live(flaw.after, good...)
			w.live(patterns.SpanLength, bad...)
			if all, _ := w.find(""); len(all) > 0 {
				t.Errorf("found %v, which was so once", all)
			}
			w.live(50*time.Minute-patterns.SpanLength, bad...)
			if all, found := w.find(flaw.kind); len(found) != 1 || found[0].Name != flaw.name {
				t.Errorf("found %v, want %s", all, flaw.name)
			}
		})
	}
}
