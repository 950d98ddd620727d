package cluster

import (
	"testing"

	"singularity/cluster/remoting"
)

func TestStandingCountsMembersAndStreams(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	all := r.trio(t)
	if got, want := all[0].Standing(), (Standing{Alive: 3, Streams: 2, Complete: true}); got != want {
		t.Errorf("three members stand as %+v, want %+v", got, want)
	}
	r.put("boot-9", "127.0.0.1:1")
	until(t, "the one that is registered is missing", func() bool {
		return all[0].Standing() == Standing{Alive: 3, Missing: 1, Streams: 2}
	})
}

func TestHintsAreCounted(t *testing.T) {
	t.Parallel()
	all := newRegistry().trio(t)
	counts := all[0].cfg.Counts
	all[0].Tell("boot-9", remoting.Message{Type: "hint"})
	if sent, dropped := counts.HintsSent.Load(), counts.HintsDropped.Load(); sent != 0 || dropped != 1 {
		t.Errorf("a hint to nobody: %d sent and %d dropped, want it dropped", sent, dropped)
	}
	all[0].TellAll(remoting.Message{Type: "hint"})
	<-all[1].heard
	<-all[2].heard
	until(t, "both hints are counted", func() bool { return counts.HintsSent.Load() == 2 })
	if dropped := counts.HintsDropped.Load(); dropped != 1 {
		t.Errorf("%d hints dropped, want 1", dropped)
	}
}
