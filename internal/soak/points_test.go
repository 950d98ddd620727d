package soak

import (
	"context"
	"fmt"

	"singularity/messages"
	"singularity/workflow"
)

// point is a moment at which an owner is paused.
type point struct {
	name string
	arm  func(*victim)
	// writes: when the node wakes up, it goes on to write to its run.
	writes bool
	// flags of the node: only the one whose claim is held back has the queue
	// claims, or another one takes the run before it.
	flags []string
}

var points = []point{
	{name: "before a step", arm: beforeStep, writes: true},
	{name: "in a step", arm: inStep, writes: true},
	{name: "between fence and commit", arm: beforeCommit},
	{name: "in a claim", arm: inClaim, flags: []string{"-claims"}},
}

// inStep leaves a step without its answer.
func inStep(v *victim) { v.startHeld(v.run, "") }

// beforeStep leaves the node without the answer that its first step is
// committed.
func beforeStep(v *victim) {
	c := v.cluster
	step := v.startHeld(v.run, "")
	v.held = v.proxy.catch(answer, advance(v.run)...)
	step.release()
	v.held.await(c.t)
	await(c.t, func(ctx context.Context) (string, error) {
		next, err := one[string](ctx, c.audit, `SELECT step FROM singularity.workflow_runs WHERE id = $1::text::uuid`, v.run.String())
		if err != nil || next == "second" {
			return "", err
		}
		return "the first step is not committed", nil
	})
}

// beforeCommit keeps the commit of the first step, which has changed the run's
// row by then.
func beforeCommit(v *victim) {
	step := v.startHeld(v.run, "")
	v.held = v.proxy.catch(commit, advance(v.run)...)
	step.release()
	v.held.await(v.cluster.t)
	v.awaitLocked()
}

// inClaim keeps the commit of a claim that has taken a run. The node has one
// slot in the queue, so that the run had to wait for it.
func inClaim(v *victim) {
	c := v.cluster
	before := workflow.NewRunID()
	step := v.startHeld(before, "claims")
	c.told(before)
	v.start(v.run, "claims")
	v.held = v.proxy.catch(commit, "SKIP LOCKED", "singularity.node_leases", "claims")
	step.release()
	v.held.await(c.t)
	v.awaitLocked()
}

// advance marks the commit of a step of a run.
func advance(run workflow.RunID) []string {
	return []string{"UPDATE singularity.workflow_runs", "INSERT INTO singularity.step_checkpoints", string(run[:])}
}

// startHeld starts a run on the node and waits for its first step, which stays
// without its answer.
func (v *victim) startHeld(run workflow.RunID, queue string) *hold {
	v.cluster.t.Helper()
	v.step = v.cluster.ledger.holdBack(func(e Effect) bool {
		return e.PID == v.node.pid() && e.Run == run.String() && e.Step == "first"
	})
	v.start(run, queue)
	v.step.await(v.cluster.t, fmt.Sprintf("the first step of run %s on node %d", run, v.node.pid()), 1)
	return v.step
}

func (v *victim) start(run workflow.RunID, queue string) {
	v.cluster.t.Helper()
	err := v.node.start(v.cluster.t.Context(), &messages.StartRunRequest{
		Workflow: "load", InputJson: `{"note":"paused"}`, Id: run.String(), Queue: queue,
	})
	if err != nil {
		v.cluster.t.Fatalf("start a run on node %d: %v", v.node.pid(), err)
	}
}

// awaitLocked waits until a transaction has changed the row of the run, which is
// new otherwise. To try for its lock would keep a claim from it that comes just
// then.
func (v *victim) awaitLocked() {
	c := v.cluster
	c.t.Helper()
	await(c.t, func(ctx context.Context) (string, error) {
		free, err := one[int](ctx, c.audit, `
SELECT count(*)
FROM singularity.workflow_runs
WHERE id = $1::text::uuid AND xmax::text = '0'`, v.run.String())
		if err != nil || free == 0 {
			return "", err
		}
		return "the row of the run is not locked", nil
	})
}
