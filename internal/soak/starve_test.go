package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestStarvedNodeIsNotTakenForDead starves one of three nodes under load, while
// another one is killed again and again.
func TestStarvedNodeIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	for _, way := range waysToStarve(t) {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "starvation "+way.name+", nodes that talk")
			c.talking = true
			c.starveOne(way.starve)
		})
	}
}

type wayToStarve struct {
	name   string
	starve func(*node) (starvation, error)
}

// waysToStarve are a quota of the kernel's, where we may set one, and signals:
// in full both of them.
func waysToStarve(t *testing.T) []wayToStarve {
	bySignals := wayToStarve{"by signals", starveBySignals}
	byQuota := wayToStarve{"by a quota", starveByQuota}
	group, err := newCPUGroup(fmt.Sprintf("soak-trial-%d", rand.Uint32()))
	if err != nil {
		t.Logf("nodes are starved by signals only: %v", err)
		return []wayToStarve{bySignals}
	}
	if err := group.remove(); err != nil {
		t.Fatal(err)
	}
	if *full {
		return []wayToStarve{byQuota, bySignals}
	}
	return []wayToStarve{byQuota}
}

func (c *cluster) starveOne(starve func(*node) (starvation, error)) {
	c.t.Helper()
	c.launchSome(3)
	c.awaitStreams()
	judges := 1
	if *full {
		judges = 2
	}
	starved := c.living()[0]
	var killed []string
	c.begin()
	load := c.startLoad(usualLoad())
	s, err := starve(starved)
	if err != nil {
		c.t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if err := s.end(); err != nil {
			c.t.Errorf("end the starvation of node %d: %v", starved.pid(), err)
		}
	})
	c.t.Cleanup(end)
	began, used := time.Now(), processTime(starved.pid())
	c.awaitJudges(nil, 3) // which takes longer than a lease lasts
	var takeovers []time.Duration
	waits := 0
	for range often(1, 10) {
		others := slices.DeleteFunc(c.living(), func(n *node) bool { return n == starved })
		victim := others[rand.N(len(others))]
		c.awaitJudges(victim, judges)
		waits = c.awaitThrottled(s, waits+throttledBeforeKill)
		takeovers = append(takeovers, c.killInStep(victim))
		killed = append(killed, c.boot(victim))
		c.launch()
	}
	share := (processTime(starved.pid()) - used).Seconds() / time.Since(began).Seconds()
	end()
	load.stop()
	c.verdict.Faults = len(takeovers)
	c.verdict.Times["kill_to_next_checkpoint"] = percentilesOf(takeovers)
	c.verdict.Figures["processors_of_the_starved_node"] = figureOf(share)
	c.verdict.Counts["times_throttled"] = waits
	c.settle()
	c.noteTakeovers()
	c.judgeDeaths(killed)
	if *full && share > mostStarved {
		c.invalidly("the starved node had %.3f processors, expected at most %.2f", share, mostStarved)
	}
	c.conclude()
}

// throttledBeforeKill is how often the starved node was throttled since the last
// kill, or the beginning, before the next one.
const throttledBeforeKill = 5

// awaitThrottled waits until a starvation has throttled its node so many times,
// and returns how many it was.
func (c *cluster) awaitThrottled(s starvation, times int) int {
	c.t.Helper()
	throttled := 0
	await(c.t, func(context.Context) (missing string, err error) {
		if throttled, err = s.throttled(); err == nil && throttled < times {
			missing = fmt.Sprintf("the starved node was throttled %d times, expected %d", throttled, times)
		}
		return missing, err
	})
	return throttled
}

// mostStarved is how much of a processor a starved node may have had: signals let
// it have a twentieth of each of two, and never in time. On a busy machine they
// come too late for that, so it counts in full only.
const mostStarved = 0.15
