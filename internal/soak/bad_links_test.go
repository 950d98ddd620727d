package soak

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestBadLinksMoveNoRuns has links between nodes work one way only, come and
// go, and lose packets.
func TestBadLinksMoveNoRuns(t *testing.T) {
	t.Parallel()
	c := newClusterIn(t, "bad links", *networkKind)
	sites := c.launchSites(3)
	c.awaitJudges(nil, len(sites)) // who cannot judge declares nobody dead anyway
	c.begin()
	load := c.startLoad(usualLoad())
	duration := 2 * time.Second
	if *full {
		duration = 30 * time.Second
	}
	for _, links := range []struct {
		name string
		last func(*cluster, []*site, time.Duration)
	}{
		{"work one way", oneWay},
		{"come and go", comeAndGo},
		{"lose packets", lossy},
	} {
		lost, began := c.network.lost(), time.Now()
		links.last(c, sites, duration)
		c.awaitLosses(lost, "while links "+links.name)
		c.verdict.Times[key("run while links %s", links.name)] = c.runTimes(began)
		c.mend()
		c.verdict.Faults++
	}
	c.awaitWhole(sites)
	c.awaitLetters(sites)
	c.awaitRuns(50)
	load.stop()
	c.settle()
	c.expectNobodyDead()
	c.expectNoMoves()
	c.conclude()
}

// oneWay drops what the first node sends to the second.
func oneWay(c *cluster, sites []*site, duration time.Duration) {
	c.network.suffer(fault{sites[0], sites[1], everything})
	pass(c.t, duration)
}

// phase is how long a link that comes and goes is there, or not.
const phase = 300 * time.Millisecond

// comeAndGo cuts and mends all links between nodes, and leaves them cut.
func comeAndGo(c *cluster, sites []*site, duration time.Duration) {
	for range duration / (2 * phase) {
		c.network.suffer(amongAll(sites, everything)...)
		pass(c.t, phase)
		c.mend()
		pass(c.t, phase)
	}
	c.network.suffer(amongAll(sites, everything)...)
}

// lossy drops packets here and there, of those for Postgres, too.
func lossy(c *cluster, sites []*site, duration time.Duration) {
	const percent = 10
	faults := amongAll(sites, percent)
	for _, s := range sites {
		faults = append(faults, between(s, c.network.postgres(), percent)...)
	}
	c.network.suffer(faults...)
	pass(c.t, duration)
}

// runsSince is how long runs took that were started since a time, in
// milliseconds.
const runsSince = `
SELECT extract(epoch FROM finished_at - created_at)::float8 * 1000
FROM singularity.workflow_runs
WHERE created_at > $1 AND finished_at IS NOT NULL`

// runTimes is how long the runs took that were started since then and have
// ended. It waits for one at least.
func (c *cluster) runTimes(since time.Time) percentiles {
	c.t.Helper()
	var millis []float64
	await(c.t, func(ctx context.Context) (missing string, err error) {
		if millis, err = list[float64](ctx, c.audit, runsSince, since); len(millis) == 0 {
			missing = fmt.Sprintf("no run that was started since %s has ended", since)
		}
		return missing, err
	})
	times := make([]time.Duration, len(millis))
	for i, m := range millis {
		times[i] = time.Duration(m * float64(time.Millisecond))
	}
	return percentilesOf(times)
}

const moves = `SELECT count(*) FROM soak.changes WHERE old_state = 'running' AND owner IS DISTINCT FROM old_owner AND state = 'available'`

// expectNoMoves is for scenarios in which every run stays where it began.
func (c *cluster) expectNoMoves() {
	c.t.Helper()
	moved, err := one[int](c.t.Context(), c.audit, moves)
	if err != nil {
		c.t.Fatal(err)
	}
	if moved > 0 {
		c.brokenly("%d times a run left its owner, who was alive", moved)
	}
}
