package soak

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"singularity/messages"
	"singularity/workflow"
)

// TestNodesAgreeHoweverManyThereAre has one, three and five nodes heed a limit, a
// key, a schedule and a pause.
func TestNodesAgreeHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, fmt.Sprintf("agreement of %d nodes that talk", nodes))
			c.talking = true
			occupied := newOccupancy(map[scope]int{pair: 2})
			c.ledger.watch = occupied.hear
			c.launchSome(nodes)
			c.awaitStreams()
			c.begin()
			c.tick()
			c.startUnderLimit(occupied)
			c.startWithOneKey()
			c.awaitSlot()
			c.awaitSlot()
			c.stopTicking()
			for range often(1, 20) {
				c.pauseAll()
			}
			c.settle(endsOnce)
			c.countSlots()
			c.judgeOccupancy(occupied)
			if missing := occupied.unreached(); missing != "" {
				c.invalidly("%s", missing)
			}
			if took := c.verdict.Times["pause_to_heeded"]; *full && took.P99 > milliseconds(pauseBound) {
				c.brokenly("nodes begin runs until %.1f ms after a pause (p99), expected %s", took.P99, pauseBound)
			}
			c.expectNothingRepeated()
			c.expectNobodyDead()
			c.conclude()
		})
	}
}

// pair is a queue of which two runs may run at once.
var pair = scope{"pair", ""}

// pauseBound is how long it may take, in full, until all nodes heed a pause.
const pauseBound = 500 * time.Millisecond

// startUnderLimit starts more runs on each node than may run at once on all.
func (c *cluster) startUnderLimit(occupied *occupancy) {
	c.t.Helper()
	if _, err := c.next().queues().SetQueue(c.t.Context(), &messages.SetQueueRequest{Name: pair.queue, GlobalLimit: new(int32(2))}); err != nil {
		c.t.Fatal(err)
	}
	c.awaitQueue(pair.queue)
	hold := c.ledger.holdBack(func(e Effect) bool { return occupied.counts(e.Run) })
	for range 4 {
		for _, n := range c.living() {
			id := workflow.NewRunID()
			occupied.expect(id.String(), pair)
			if err := n.start(c.t.Context(), limitedRequest(id, pair)); err != nil {
				c.t.Fatal(err)
			}
			c.told(id)
		}
	}
	hold.await(c.t, "the steps of two runs", 2)
	hold.release()
}

// awaitQueue waits until each node knows a queue.
func (c *cluster) awaitQueue(name string) {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (string, error) {
		for _, n := range c.living() {
			answer, err := n.queues().ListQueues(ctx, &messages.ListQueuesRequest{})
			if err != nil {
				return "", err
			}
			if !slices.ContainsFunc(answer.GetQueues(), func(q *messages.Queue) bool { return q.GetName() == name && q.GetSlots() > 0 }) {
				return fmt.Sprintf("node %d has no slots in queue %s", n.pid(), name), nil
			}
		}
		return "", nil
	})
}

// startWithOneKey starts runs with the same key on all nodes at once, and then
// runs with the same input: there is one of each.
func (c *cluster) startWithOneKey() {
	c.t.Helper()
	hold := c.ledger.holdBack(func(Effect) bool { return true }) // no run ends meanwhile
	defer hold.release()
	for what, request := range map[string]*messages.StartRunRequest{
		"key":   {Workflow: "load", InputJson: `{"note":"keyed"}`, Key: "only"},
		"input": {Workflow: "load", InputJson: `{"note":"unique"}`, Unique: &messages.Unique{By: []string{"input"}}},
	} {
		var mu sync.Mutex
		ids, fresh := map[string]bool{}, 0
		var clients sync.WaitGroup
		for _, n := range c.living() {
			for range 2 {
				clients.Go(func() {
					answer, err := n.runs.StartRun(c.t.Context(), request)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						c.brokenly("a start with the same %s: %v", what, err)
						return
					}
					if ids[answer.GetId()] = true; !answer.GetAttached() {
						fresh++
					}
				})
			}
		}
		clients.Wait()
		if len(ids) != 1 || fresh != 1 {
			c.brokenly("starts with the same %s at all nodes were answered with %d runs, %d of them new; expected one", what, len(ids), fresh)
		}
		for id := range ids {
			c.told(mustRun(id))
		}
	}
}

// pauseAll pauses the queue default through one node, waits until each begins
// nothing more in it, and resumes it through another.
func (c *cluster) pauseAll() {
	c.t.Helper()
	ctx, cancel := bounded(c.t)
	defer cancel()
	paused := time.Now()
	if _, err := c.next().queues().PauseQueue(ctx, &messages.PauseQueueRequest{Name: "default"}); err != nil {
		c.t.Fatal(err)
	}
	waiting := map[string]bool{}
	var heard []time.Duration
	for _, n := range c.living() {
		for began := true; began; { // what begins before the node has heard is not at fault
			id := workflow.NewRunID()
			if err := n.start(ctx, loadRequest(id)); err != nil {
				c.t.Fatal(err)
			}
			c.told(id)
			answer, err := n.runs.GetRun(ctx, &messages.GetRunRequest{Id: id.String()})
			if err != nil {
				c.t.Fatal(err)
			}
			began = answer.GetRun().GetState() != string(workflow.Available)
			waiting[id.String()] = !began
		}
		heard = append(heard, time.Since(paused))
	}
	for _, took := range heard {
		c.note("pause_to_heeded", took)
	}
	pass(c.t, 2*lookEvery) // for a node that would begin them
	for _, effect := range c.ledger.all() {
		if waiting[effect.Run] {
			c.brokenly("run %s began while its queue was paused", effect.Run)
		}
	}
	resumed := time.Now()
	if _, err := c.next().queues().ResumeQueue(ctx, &messages.ResumeQueueRequest{Name: "default"}); err != nil {
		c.t.Fatal(err)
	}
	c.ledger.await(c.t, "the runs that waited", func(effects []Effect) bool {
		begun := map[string]bool{}
		for _, effect := range effects {
			begun[effect.Run] = true
		}
		for run, waits := range waiting {
			if waits && !begun[run] {
				return false
			}
		}
		return true
	})
	c.note("resumption_to_steps", time.Since(resumed))
}
