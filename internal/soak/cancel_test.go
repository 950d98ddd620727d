package soak

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"singularity/messages"
	"singularity/workflow"
)

// cancelBound is how long it may take, in full, from the call that cancels a run
// on one node to the end of its step's context on another.
const cancelBound = 500 * time.Millisecond

// TestCancelEndsTheStepOnAnotherNode cancels runs, under load, through nodes that
// do not have them.
func TestCancelEndsTheStepOnAnotherNode(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "cancel, nodes that talk")
	c.talking = true
	c.launchSome(3)
	c.begin()
	load := c.startLoad(usualLoad())
	for range often(5, 100) {
		c.cancelElsewhere()
	}
	load.stop()
	c.settle(endsOnce)
	if took := c.verdict.Times["cancel_to_end_of_step"]; *full && took.Max > milliseconds(cancelBound) {
		c.brokenly("a step ended %.1f ms after the cancel of its run, expected %s at most", took.Max, cancelBound)
	}
	c.expectNothingRepeated()
	c.expectNobodyDead()
	c.conclude()
}

// cancelElsewhere starts a run and cancels it in its step, through a node that
// does not have it.
func (c *cluster) cancelElsewhere() {
	c.t.Helper()
	ctx, cancel := bounded(c.t)
	defer cancel()
	id := workflow.NewRunID()
	hold := c.ledger.holdBack(func(e Effect) bool { return e.Run == id.String() })
	request := &messages.StartRunRequest{Workflow: "patient", InputJson: `{"note":"soak"}`, Id: id.String()}
	if err := c.next().start(ctx, request); err != nil {
		c.t.Fatal(err)
	}
	c.told(id)
	hold.await(c.t, "the step of run "+id.String(), 1)
	others := slices.DeleteFunc(c.living(), func(n *node) bool { return n.pid() == hold.effects[0].PID })
	began := time.Now()
	answer, err := others[rand.N(len(others))].runs.CancelRun(ctx, &messages.CancelRunRequest{Id: id.String(), Reason: "soak"})
	if err != nil {
		c.t.Fatal(err)
	}
	c.note("cancel_to_answer", time.Since(began))
	if state := answer.GetRun().GetState(); state != string(workflow.Cancelled) {
		c.brokenly("a run that was cancelled is %s", state)
	}
	c.note("cancel_to_end_of_step", hold.awaitDrop(c.t).Sub(began))
	hold.release()
	c.verdict.Faults++
}
