package soak

import (
	"context"
	"fmt"
	"testing"
	"time"

	"singularity/internal/testpostgres"
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
	judge := c.launch(p.hooks()...)
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
	if boot := c.boot(judge); c.declaredDeadOf(boot) {
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

// victim is a node that is paused at a certain point, while it has a run.
type victim struct {
	cluster *cluster
	point   point
	pausing pausing
	proxy   *proxy
	node    *node
	boot    string
	run     workflow.RunID

	held      *catch // at the moment of the pause
	step      *hold  // the same
	elsewhere *hold  // the run's next step on another node, which has not ended when this one wakes up
	renewals  *catch // so that what the node does first comes before it learns that it is dead
}

func (c *cluster) launchVictim(at point, p pausing) *victim {
	c.t.Helper()
	v := &victim{cluster: c, point: at, pausing: p, run: workflow.NewRunID(), proxy: newProxy(c.t, c.server.Addr())}
	v.node = c.launchAt(c.server.URLVia(v.proxy.address(), testpostgres.Database), []string{"-claims"}, p.hooks()...)
	return v
}

// arm brings the node to its point.
func (v *victim) arm() {
	v.cluster.t.Helper()
	v.boot = v.cluster.boot(v.node)
	v.point.arm(v)
	v.cluster.told(v.run)
	v.elsewhere = v.cluster.ledger.holdBack(func(e Effect) bool {
		return e.Run == v.run.String() && e.PID != v.node.pid()
	})
}

// losesRun reports whether the run goes on elsewhere during the pause. It does
// not while a transaction of the node holds its row or the lease.
func (v *victim) losesRun() bool {
	return v.pausing.pause >= leaseOver && (v.point.writes || !v.pausing.unevicted)
}

// awaitTakeover waits until another node is in a step of the run.
func (v *victim) awaitTakeover() {
	v.cluster.t.Helper()
	if v.losesRun() {
		v.elsewhere.await(v.cluster.t, fmt.Sprintf("a step of run %s elsewhere, whose owner is paused %s", v.run, v.point.name), 1)
	}
}

// wake lets the node go on.
func (v *victim) wake() {
	v.cluster.t.Helper()
	if v.mustBeRefused() {
		v.renewals = v.proxy.catch(commit, "UPDATE singularity.node_leases", "renewals = renewals + 1")
	}
	if v.step != nil {
		v.step.release()
	}
	if v.held != nil {
		v.held.release()
	}
	v.node.resume()
}

// mustBeRefused reports whether the node will write what is stale.
func (v *victim) mustBeRefused() bool {
	return v.pausing.pause >= leaseOver && v.pausing.unfenced && v.point.writes
}

// examine waits until the node knows how it stands, and looks at what it did.
func (v *victim) examine() {
	c := v.cluster
	c.t.Helper()
	dead := c.declaredDeadOf(v.boot)
	if v.mustBeRefused() {
		missing := awaitFor(c.t, takeoverBound, func(ctx context.Context) (string, error) {
			if refused, err := v.node.fenced(ctx); err != nil || refused > 0 {
				return "", err
			}
			return "no write of it was refused", nil
		})
		if missing != "" {
			c.invalidly("node paused %s: %s", v.point.name, missing)
		}
		v.renewals.release()
	}
	if v.losesRun() {
		v.awaitNewBoot()
	}
	v.elsewhere.release()
	if v.held != nil && v.held.side == commit {
		if v.held.ended() {
			c.verdict.Counts["held_writes_ended_by_eviction"]++
		} else {
			c.verdict.Counts["held_writes_landed"]++
		}
	}
	c.awaitEndOf(v.run)
	v.node.awaitReady()
	refused, err := v.node.fenced(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	c.verdict.Counts["refused_writes"] += refused
	if dead && !v.pausing.unfenced {
		v.expectNothingBegun()
	}
}

// awaitNewBoot waits until a node that was declared dead is another one.
func (v *victim) awaitNewBoot() {
	c := v.cluster
	c.t.Helper()
	await(c.t, func(ctx context.Context) (string, error) {
		if boot, err := one[string](ctx, c.audit, bootOf, v.node.pid()); err != nil || boot != v.boot {
			return "", err
		}
		return fmt.Sprintf("node %d does not know that it is dead", v.node.pid()), nil
	})
}

// expectNothingBegun is for a node that was declared dead in its first step.
func (v *victim) expectNothingBegun() {
	for _, effect := range v.cluster.ledger.all() {
		if effect.PID == v.node.pid() && effect.Run == v.run.String() && effect.Step != "first" {
			v.cluster.brokenly("the node paused %s began step %s when its lease was over", v.point.name, effect.Step)
		}
	}
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
