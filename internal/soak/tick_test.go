package soak

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestSlotsFireOnTime lets a schedule fire every second on three nodes that have
// nothing else to do, and looks how long after its slot each run begins.
func TestSlotsFireOnTime(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "slots of an idle cluster")
	c.talking = true
	slots := often(3, 60)
	c.launchSome(3)
	c.awaitStreams()
	c.begin()
	c.tick("@every 1s")
	if missing := awaitFor(t, patience+time.Duration(slots)*time.Second, func(ctx context.Context) (string, error) {
		fired, err := one[int](ctx, c.audit, `SELECT count(*) FROM singularity.workflow_runs WHERE schedule = 'tick'`)
		if err != nil || fired >= slots {
			return "", err
		}
		return fmt.Sprintf("%d of %d slots were fired", fired, slots), nil
	}); missing != "" {
		t.Fatal(missing)
	}
	c.stopTicking()
	c.settle()
	c.countSlots()
	c.judgeLateness("slot_to_begun", c.slotLateness())
	c.expectNobodyDead()
	c.conclude()
}

// slotLateness is how long after its slot each run of the schedule had its first
// effect. Nodes and database have the clock of this machine.
func (c *cluster) slotLateness() []time.Duration {
	c.t.Helper()
	began := map[string]time.Time{}
	for _, effect := range c.ledger.all() {
		if at, seen := began[effect.Run]; !seen || effect.At.Before(at) {
			began[effect.Run] = effect.At
		}
	}
	var late []time.Duration
	for run, at := range began {
		slot, err := one[time.Time](c.t.Context(), c.audit, `SELECT slot FROM singularity.workflow_runs WHERE id = $1`, run)
		if err != nil {
			c.t.Fatal(err)
		}
		late = append(late, at.Sub(slot))
	}
	return late
}
