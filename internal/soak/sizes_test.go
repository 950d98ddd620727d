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
			c.tick("* * * * * *")
			c.startUnderLimit(occupied)
			c.startWithOneKey()
			c.awaitSlot()
			c.awaitSlot()
			c.stopTicking()
			for range often(1, 10) {
				c.pauseAll()
			}
			c.settle(endsOnce)
			c.countSlots()
			c.judgeOccupancy(occupied)
			if missing := occupied.unreached(); missing != "" {
				c.invalidly("%s", missing)
			}
			if took := c.verdict.Times["pause_to_last_begin"]; *full && took.Max > milliseconds(pauseBound) {
				c.brokenly("a run began %.1f ms after a pause, expected %s at most", took.Max, pauseBound)
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

// pauseAll pauses the queue default under load through one node, until all must
// have heard, and resumes it.
func (c *cluster) pauseAll() {
	c.t.Helper()
	load := c.startLoad(usualLoad())
	defer load.stop()
	nodes := c.living()
	for _, n := range nodes {
		c.awaitStep(n, time.Now())
	}
	paused := time.Now()
	if _, err := c.next().queues().PauseQueue(c.t.Context(), &messages.PauseQueueRequest{Name: "default"}); err != nil {
		c.t.Fatal(err)
	}
	c.awaitRenewals(3) // of which each says that there is something to read
	heard := time.Now()
	c.awaitWaiting(len(nodes))
	resumed := time.Now()
	last := paused
	for _, effect := range c.ledger.all() {
		if effect.Step == "first" && effect.At.After(last) {
			last = effect.At
		}
	}
	c.note("pause_to_last_begin", last.Sub(paused))
	if last.After(heard) {
		c.brokenly("a run began %s after its queue was paused, when all nodes had renewed their leases since", last.Sub(paused))
	}
	if _, err := c.next().queues().ResumeQueue(c.t.Context(), &messages.ResumeQueueRequest{Name: "default"}); err != nil {
		c.t.Fatal(err)
	}
	for _, n := range nodes {
		c.awaitStep(n, resumed)
	}
	c.note("resumption_to_steps_of_all", time.Since(resumed))
	c.verdict.Faults++
}

// awaitStep waits until a node has a step that began after some time.
func (c *cluster) awaitStep(n *node, after time.Time) {
	c.t.Helper()
	c.ledger.await(c.t, fmt.Sprintf("a step of node %d", n.pid()), func(effects []Effect) bool {
		return slices.ContainsFunc(effects, func(e Effect) bool { return e.PID == n.pid() && e.At.After(after) })
	})
}

const renewals = `SELECT renewals FROM singularity.node_leases WHERE ended_at IS NULL ORDER BY boot`

// awaitRenewals waits until each node has renewed its lease so many times more.
func (c *cluster) awaitRenewals(times int64) {
	c.t.Helper()
	before, err := list[int64](c.t.Context(), c.audit, renewals)
	if err != nil {
		c.t.Fatal(err)
	}
	await(c.t, func(ctx context.Context) (missing string, err error) {
		now, err := list[int64](ctx, c.audit, renewals)
		if err != nil || len(now) != len(before) {
			return "another number of nodes is there", err
		}
		for i := range now {
			if now[i] < before[i]+times {
				missing = fmt.Sprintf("a node has renewed its lease %d times, expected %d", now[i]-before[i], times)
			}
		}
		return missing, nil
	})
}

// awaitWaiting waits until so many runs wait in the queue default.
func (c *cluster) awaitWaiting(count int) {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (missing string, err error) {
		waiting, err := one[int](ctx, c.audit, countWaiting, "default", "")
		if waiting < count {
			missing = fmt.Sprintf("%d runs wait in the paused queue, expected %d", waiting, count)
		}
		return missing, err
	})
}
