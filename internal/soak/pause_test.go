package soak

import (
	"context"
	"fmt"
	"testing"
	"time"

	"singularity/workflow"
)

// leaseOver is a pause by which the lease of a node is over for sure.
const leaseOver = 10 * time.Second

// pausing is one way of pausing owners.
type pausing struct {
	pause       time.Duration
	unfenced    bool // nodes begin steps however old their lease is
	unevicted   bool // the sessions of the dead are left alone
	short, long int  // repetitions
}

func (p pausing) String() string {
	name := "pause of " + p.pause.String()
	if p.unfenced {
		name += ", unfenced"
	}
	if p.unevicted {
		name += ", unevicted"
	}
	return name
}

func (p pausing) hooks() []string {
	var hooks []string
	if p.unfenced {
		hooks = append(hooks, withoutFence)
	}
	if p.unevicted {
		hooks = append(hooks, withoutEviction)
	}
	return hooks
}

// TestPausedOwnersOverwriteNothing stops owners at their worst moments, and
// lets them go on when their runs have gone on elsewhere.
func TestPausedOwnersOverwriteNothing(t *testing.T) {
	t.Parallel()
	for _, p := range []pausing{
		{pause: 500 * time.Millisecond, short: 1, long: 5},
		{pause: 3 * time.Second, long: 5},
		{pause: leaseOver, short: 1, long: 5},
		{pause: leaseOver, unfenced: true, long: 5},
		{pause: leaseOver, unevicted: true, long: 5},
		{pause: leaseOver, unfenced: true, unevicted: true, short: 1, long: 5},
	} {
		for round := range often(p.short, p.long) {
			t.Run(fmt.Sprintf("%s/%d", p, round), func(t *testing.T) {
				t.Parallel()
				pauseOwners(t, p, round)
			})
		}
	}
}

func pauseOwners(t *testing.T, p pausing, round int) {
	c := newCluster(t, fmt.Sprintf("%s %d", p, round))
	judge := c.boot(c.launch(p.hooks()...))
	var victims []*victim
	for _, at := range points {
		victims = append(victims, c.launchVictim(at, p))
	}
	c.awaitJudges(nil, 1+len(victims))
	c.begin()
	for _, v := range victims {
		v.arm()
	}
	for _, v := range victims {
		v.node.pause()
	}
	stopped := time.Now()
	c.verdict.Faults = len(victims)
	if p.pause > time.Second {
		// It takes what the judge does not: the run of the queue claims.
		c.launchAt(c.url, []string{"-claims"}, p.hooks()...)
	}
	pass(t, time.Until(stopped.Add(p.pause)))
	for _, v := range victims {
		v.awaitTakeover()
	}
	for _, v := range victims {
		v.wake()
	}
	for _, v := range victims {
		v.examine()
	}
	c.settle()
	if p.pause < time.Second {
		c.expectNobodyDead()
	}
	if c.declaredDeadOf(judge) {
		c.brokenly("the judge was declared dead, and was never paused")
	}
	c.conclude()
}

const declaredDeadOf = `SELECT EXISTS (SELECT FROM singularity.node_leases WHERE boot = $1 AND ended_by IN ('crashed', 'lapsed'))`

func (c *cluster) declaredDeadOf(boot string) bool {
	c.t.Helper()
	dead, err := one[bool](c.t.Context(), c.audit, declaredDeadOf, boot)
	if err != nil {
		c.t.Fatal(err)
	}
	return dead
}

// awaitEndOf waits until a run has ended.
func (c *cluster) awaitEndOf(run workflow.RunID) {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (string, error) {
		ended, err := one[bool](ctx, c.audit, `
SELECT EXISTS (SELECT FROM singularity.workflow_runs WHERE id = $1::text::uuid AND state IN `+terminal+`)`, run.String())
		if err != nil || ended {
			return "", err
		}
		return fmt.Sprintf("run %s has not ended", run), nil
	})
}
