package soak

import (
	"math/rand/v2"
	"testing"
	"time"
)

// freezeBound is how long it may take until a run of a node that is stopped has
// its next checkpoint: its lease of 4 s, and to notice that it is over.
const freezeBound = 6 * time.Second

// TestFrozenOwnersRunsGoOnElsewhere stops nodes that have streams to each other,
// under load: those stand, and only the lease says that somebody is gone.
func TestFrozenOwnersRunsGoOnElsewhere(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "freeze, nodes that talk")
	c.talking = true
	c.launchSome(3)
	c.awaitStreams()
	judges := 1
	if *full {
		judges = 2
	}
	c.awaitJudges(nil, judges)
	c.begin()
	load := c.startLoad(usualLoad())
	var takeovers []time.Duration
	var frozen []string
	for range often(1, 12) {
		nodes := c.living()
		victim := nodes[rand.N(len(nodes))]
		c.awaitJudges(victim, judges)
		boot := c.boot(victim)
		frozen = append(frozen, boot)
		takeovers = append(takeovers, c.loseInStep(victim, freezeBound, victim.pause))
		victim.resume()
		c.awaitNewBoot(victim, boot)
		victim.awaitReady()
		victim.ready = time.Now()
		c.remember(victim)
	}
	load.stop()
	c.verdict.Faults = len(takeovers)
	c.verdict.Times["freeze_to_next_checkpoint"] = percentilesOf(takeovers)
	c.settle()
	c.noteTakeovers()
	c.expectDeaths(frozen)
	lapsed, err := one[int](t.Context(), c.audit, lapsedOf, frozen)
	if err != nil {
		t.Fatal(err)
	}
	if lapsed != len(frozen) {
		c.brokenly("%d nodes of %d that were stopped were declared dead since their leases were over", lapsed, len(frozen))
	}
	c.conclude()
}

// lapsedOf counts those of some boots that ended when their leases were over.
const lapsedOf = `SELECT count(*) FROM singularity.node_leases WHERE ended_by = 'lapsed' AND lease_until <= ended_at AND boot = ANY ($1)`
