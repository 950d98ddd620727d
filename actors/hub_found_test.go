package actors

import (
	"errors"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

func announceHub(listener persistence.Listener) { listener.HubAnnounced() }

func TestNodeTakesPartOnceAHubIsThere(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		asks := workflow.New("asks", asking("ask", time.Second, 0))
		h := newLookedFor()
		c := startHubCluster(t, 2, h.hub, asks)
		finish(t, start(t, c.nodes[0], asks))
		looks := h.looked()
		time.Sleep(time.Hour)
		if h.looked() != looks || h.tried() != 0 || c.links[0].count("read records")+c.links[0].count("learnings") != 0 || c.nodes[0].Stats().CentralCloud != nil {
			t.Errorf("a node without a hub looked for one %d times more, and called it %d times", h.looked()-looks, h.tried())
		}
		if _, err := c.nodes[0].Send(t.Context(), "sync", "flush", nil); !errors.Is(err, workflow.ErrActorNotFound) {
			t.Errorf("flush without a hub: %v", err)
		}

		c.tell(announceHub) // a hub that has gone again
		time.Sleep(time.Minute)
		h.appear()
		c.tell(announceHub)
		time.Sleep(time.Second)
		if n := len(h.hellos(t)); n != 2 {
			t.Errorf("%d nodes said hello, want both", n)
		}
		finish(t, start(t, c.nodes[0], asks))
		time.Sleep(time.Minute)
		h.wantCounted(t, c.nodes[0]) // what was done before, too
		looks = h.looked()
		c.tell(announceHub)
		time.Sleep(time.Minute)
		if h.looked() != looks || c.nodes[0].Stats().CentralCloud == nil {
			t.Error("a node that has a hub looks for one, or does not count for it")
		}
	})
}

func TestNodeFindsTheHubThatIsThereWhenItStarts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newLookedFor()
		h.appear()
		c := startHubCluster(t, 1, h.hub)
		if c.links[0].count("learnings") != 1 || c.nodes[0].Stats().CentralCloud == nil {
			t.Error("the node began without what it was taught before")
		}
		time.Sleep(time.Second)
		if len(h.hellos(t)) != 1 || h.looked() != 1 {
			t.Errorf("the node said hello %d times, and looked %d times; want once", len(h.hellos(t)), h.looked())
		}
	})
}

func TestNodeThatCannotLookForAHubLooksAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		h := newLookedFor()
		h.fails = true
		c := startHubCluster(t, 1, h.hub)
		time.Sleep(10 * time.Minute)
		if n := h.looked(); n < 5 || n > 100 {
			t.Errorf("it looked %d times in ten minutes", n)
		}
		h.set(func() { h.fails = false })
		h.appear()
		time.Sleep(2 * time.Minute)
		if len(h.hellos(t)) != 1 || c.nodes[0].Stats().CentralCloud == nil {
			t.Error("the node has not found its hub")
		}
	})
}
