package actors

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"singularity/workflow"
)

func TestTreeOfANodeIsSeenFromAllOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		hold := newGate(t, "hold")
		holding := workflow.New("holding", hold.step().Timeout(time.Hour))
		c := startPeers(t, 2, holding)
		run := start(t, c.nodes[0], holding)
		synctest.Wait()
		for node, has := range map[string]bool{
			"": false, "b": false, "a": true, string(c.nodes[0].Boot()): true, "host-of-a:7947": true,
		} {
			tree, err := c.nodes[1].Tree(t.Context(), node)
			if err != nil || tree.GetName() != "singularity" || strings.Contains(tree.String(), run.ID().String()) != has {
				t.Errorf("the tree of %q is %v, %v; want the run in it: %t", node, tree, err, has)
			}
		}
		if tree, err := c.nodes[1].Tree(t.Context(), "z"); !errors.Is(err, workflow.ErrActorNotFound) {
			t.Errorf("the tree of nobody is %v, %v", tree, err)
		}
		c.sever(0)
		if tree, err := c.nodes[1].Tree(t.Context(), "a"); !errors.Is(err, workflow.ErrUnreachable) {
			t.Errorf("the tree of a node that cannot be reached is %v, %v", tree, err)
		}
	})
}
