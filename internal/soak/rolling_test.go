package soak

import (
	"slices"
	"testing"
	"time"
)

// TestNodesAreReplacedAtTheirAddresses ends one node after the other, under load,
// and starts the next one where it was.
func TestNodesAreReplacedAtTheirAddresses(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name        string
		short, long int
		replaceAll  func(c *cluster, rounds int)
	}{
		{"drained", 1, 10, (*cluster).drainInTurn},
		{"killed", 0, 7, (*cluster).killInTurn},
	} {
		if rounds := often(way.short, way.long); rounds > 0 {
			t.Run(way.name, func(t *testing.T) {
				t.Parallel()
				way.replaceAll(newCluster(t, "rolling restart of "+way.name+" nodes that talk"), rounds)
			})
		}
	}
}

// drainInTurn ends nodes by SIGTERM.
func (c *cluster) drainInTurn(rounds int) {
	c.t.Helper()
	places, nodes := c.settleIn(3)
	c.begin()
	load := c.startLoad(usualLoad())
	for range rounds {
		for i, p := range places {
			c.awaitRuns(10)
			c.replace(nodes[i], func() {
				c.drainInStep(nodes[i])
				nodes[i] = c.launchIn(p)
			})
		}
	}
	load.stop()
	c.settle()
	c.expectNothingRepeated()
	c.expectNobodyDead()
	c.conclude()
}

// killInTurn kills nodes, and starts the next one before the others know.
func (c *cluster) killInTurn(rounds int) {
	c.t.Helper()
	places, nodes := c.settleIn(3)
	c.begin()
	load := c.startLoad(usualLoad())
	var takeovers []time.Duration
	var killed []string
	for range rounds {
		for i, p := range places {
			c.awaitJudges(nodes[i], 2)
			killed = append(killed, c.boot(nodes[i]))
			c.replace(nodes[i], func() {
				takeovers = append(takeovers, c.loseInStep(nodes[i], takeoverBound, func() {
					nodes[i].kill()
					nodes[i] = c.launchIn(p)
				}))
			})
		}
	}
	load.stop()
	c.verdict.Faults = len(takeovers)
	c.verdict.Times["kill_to_next_checkpoint"] = percentilesOf(takeovers)
	c.settle()
	c.noteTakeovers()
	c.expectDeaths(killed)
	if c.verdict.Counts["letters_refused_by_the_successor"] == 0 {
		c.invalidly("no letter for a killed node reached the next one at its address")
	}
	c.conclude()
}

// settleIn adds nodes that talk, at places that others can have after them.
func (c *cluster) settleIn(count int) (places []place, nodes []*node) {
	c.t.Helper()
	c.talking = true
	for range count {
		p := newPlace(c.t)
		places, nodes = append(places, p), append(nodes, c.launchIn(p))
	}
	c.awaitStreams()
	return places, nodes
}

// replace replaces a node, while the others write to it all the time.
func (c *cluster) replace(n *node, with func()) {
	c.t.Helper()
	former := c.boot(n)
	label := c.label(former)
	mail := c.writeTo(former, slices.DeleteFunc(c.living(), func(other *node) bool { return other == n }))
	with()
	c.awaitStreams()
	mail.stop(c, label)
}
