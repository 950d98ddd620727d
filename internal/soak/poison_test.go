package soak

import (
	"context"
	"fmt"
	"testing"

	"singularity/messages"
	"singularity/workflow"
)

// deaths is how many processes a run may take with it.
const deaths = 3

// TestRunThatKillsItsProcessIsQuarantinedAndNoOther starts such a run under
// load.
func TestRunThatKillsItsProcessIsQuarantinedAndNoOther(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "poison")
	c.launchSome(3)
	c.awaitJudges(nil, 2)
	c.begin()
	load := c.startLoad(usualLoad())
	for range often(1, 5) {
		c.poison()
	}
	load.stop()
	c.settle()
	c.conclude()
}

func (c *cluster) poison() {
	c.t.Helper()
	id := workflow.NewRunID()
	request := &messages.StartRunRequest{Workflow: "poison", InputJson: `{"note":"soak"}`, Id: id.String()}
	// Nobody answers if the process dies before it can: the run is there all the same.
	_ = c.start(c.t.Context(), request)
	for death := 1; death <= deaths; death++ {
		var last Effect
		c.ledger.await(c.t, fmt.Sprintf("death %d of run %s", death, id), func(effects []Effect) bool {
			seen := 0
			for _, effect := range effects {
				if effect.Run == id.String() && effect.Step == "die" {
					seen, last = seen+1, effect
				}
			}
			return seen == death
		})
		for _, n := range c.living() {
			if n.pid() == last.PID {
				c.forget(n)
				n.awaitKilled()
			}
		}
		c.verdict.Faults++
		c.launch()
	}
	await(c.t, func(ctx context.Context) (string, error) {
		state, err := one[string](ctx, c.audit, `SELECT state FROM singularity.workflow_runs WHERE id = $1::text::uuid`, id.String())
		if err != nil || state == string(workflow.Quarantined) {
			return "", err
		}
		return fmt.Sprintf("run %s, which killed %d processes, is %s; expected quarantined", id, deaths, state), nil
	})
	c.told(id)
}
