package soak

import (
	"testing"
	"time"
)

// joinBound is how long a second node may take, from the start of its process
// until each of the two reaches the other.
const joinBound = 2 * time.Second

// TestSecondNodeJoins starts a second node beside a first one that has nothing to
// do, and ends it, again and again.
func TestSecondNodeJoins(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "join of a second node")
	c.talking = true
	c.launch()
	c.begin()
	for range often(2, 20) {
		began := time.Now()
		second := c.launch()
		c.awaitStreams()
		c.note("start_to_joined", time.Since(began))
		c.verdict.Faults++
		c.forget(second)
		second.drain()
	}
	if most := c.verdict.Times["start_to_joined"].Max; *full && most > milliseconds(joinBound) {
		c.brokenly("a second node was there after %v ms; expected at most %v", most, joinBound)
	}
	c.settle()
	c.expectNobodyDead()
	c.conclude()
}
