package soak

import (
	"context"
	"fmt"
	"slices"
	"time"

	"singularity/internal/testpostgres"
	"singularity/workflow"
)

// victim is a node that is paused at a certain point, while it has a run.
type victim struct {
	cluster *cluster
	point   point
	pausing pausing
	proxy   *proxy
	node    *node
	boot    string
	run     workflow.RunID
	woken   time.Time

	held      *catch // at the moment of the pause
	step      *hold  // the same
	elsewhere *hold  // the run's next step on another node, which has not ended when this one wakes up
	renewals  *catch // so that what the node does first comes before it learns that it is dead
}

func (c *cluster) launchVictim(at point, p pausing) *victim {
	c.t.Helper()
	v := &victim{cluster: c, point: at, pausing: p, run: workflow.NewRunID(), proxy: newProxy(c.t, c.server.Addr())}
	v.node = c.launchAt(c.server.URLVia(v.proxy.address(), testpostgres.Database), at.flags, p.hooks()...)
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
	if v.losesRun() {
		v.renewals = v.proxy.catch(commit, "UPDATE singularity.node_leases", "renewals = renewals + 1")
	}
	if v.step != nil {
		v.step.release()
	}
	if v.held != nil {
		v.held.release()
	}
	v.woken = time.Now()
	v.node.resume()
}

// mustBeRefused reports whether the node will write what is stale.
func (v *victim) mustBeRefused() bool {
	return v.pausing.pause >= leaseOver && v.pausing.unfenced && v.point.writes
}

// temptation is for how long a node that woke up does not hear that it is dead.
const temptation = 500 * time.Millisecond

// awaitRefusal waits until a write of the node was refused.
func (v *victim) awaitRefusal() {
	v.cluster.t.Helper()
	missing := awaitFor(v.cluster.t, patience, func(ctx context.Context) (string, error) {
		if refused, err := v.node.fenced(ctx); err != nil || refused > 0 {
			return "", err
		}
		return "no write of it was refused", nil
	})
	if missing != "" {
		v.cluster.invalidly("node paused %s: %s", v.point.name, missing)
	}
}

// examine waits until the node knows how it stands, and looks at what it did.
func (v *victim) examine() {
	c := v.cluster
	c.t.Helper()
	dead := c.declaredDeadOf(v.boot)
	switch {
	case v.mustBeRefused():
		v.awaitRefusal()
	case v.losesRun():
		pass(c.t, temptation)
	}
	if v.losesRun() {
		v.renewals.release()
		c.awaitNewBoot(v.node, v.boot)
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

// epochsOf are those in which a boot had a run.
const epochsOf = `SELECT epoch FROM soak.changes WHERE run = $1::text::uuid AND owner = $2`

// expectNothingBegun is for a boot that was declared dead: since it woke up it
// has begun no step. The process may, as another boot.
func (v *victim) expectNothingBegun() {
	c := v.cluster
	c.t.Helper()
	epochs, err := list[int64](c.t.Context(), c.audit, epochsOf, v.run.String(), v.boot)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, effect := range c.ledger.all() {
		if effect.Run == v.run.String() && effect.At.After(v.woken) && slices.Contains(epochs, effect.Epoch) {
			c.brokenly("the node paused %s began step %s when its lease was over", v.point.name, effect.Step)
		}
	}
}
