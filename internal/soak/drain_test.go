package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// TestDrainRepeatsNothing ends nodes by SIGTERM while steps of theirs are in
// flight, under load.
func TestDrainRepeatsNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "drain")
	c.launchSome(3)
	c.begin()
	load := c.startLoad(usualLoad())
	for range often(3, 20) {
		c.awaitRuns(10)
		nodes := c.living()
		c.drainInStep(nodes[rand.N(len(nodes))])
		c.launch()
	}
	load.stop()
	c.settle()
	c.expectNothingRepeated()
	c.expectNobodyDead()
	c.conclude()
}

// expectNothingRepeated expects that each step ran once, and that no run has
// seen a crash.
func (c *cluster) expectNothingRepeated() {
	c.t.Helper()
	if repeated := c.verdict.Counts["effects_repeated"]; repeated > 0 {
		c.brokenly("%d steps ran twice", repeated)
	}
	crashes, err := one[int](c.t.Context(), c.audit, `SELECT count(*) FROM soak.changes WHERE crash_count > 0`)
	if err != nil {
		c.t.Fatal(err)
	}
	if crashes > 0 {
		c.brokenly("%d changes of runs count a crash", crashes)
	}
}

// drainInStep sends SIGTERM to a node that has a step in flight, which ends
// after the node has closed its doors.
func (c *cluster) drainInStep(n *node) {
	c.t.Helper()
	hold := c.ledger.holdBack(func(e Effect) bool { return e.PID == n.pid() })
	hold.await(c.t, fmt.Sprintf("a step of node %d", n.pid()), 1)
	c.forget(n)
	n.signal(syscall.SIGTERM)
	await(c.t, func(ctx context.Context) (string, error) {
		if refusal, err := n.get(ctx, "/readyz"); err == nil && refusal == "" {
			return fmt.Sprintf("node %d is ready after SIGTERM", n.pid()), nil
		}
		return "", nil
	})
	hold.release()
	n.drain()
	c.verdict.Faults++
}
