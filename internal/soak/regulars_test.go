package soak

import (
	"context"
	"sync"
	"time"

	"singularity/messages"
	"singularity/workflow"
)

// regulars are clients of whom each starts a run, waits for its end, and starts
// the next: as many runs end as the nodes can do.
type regulars struct {
	cluster *cluster
	stopped chan struct{}
	clients sync.WaitGroup

	mu    sync.Mutex
	took  []time.Duration // each run, as its client saw it
	since time.Time
}

// regularsEach is how many clients there are at each node.
const regularsEach = 3

// startRegulars has clients begin at all nodes that there are.
func (c *cluster) startRegulars() *regulars {
	r := &regulars{cluster: c, stopped: make(chan struct{}), since: time.Now()}
	for _, n := range c.living() {
		for range regularsEach {
			r.clients.Go(func() {
				for r.goesOn() {
					r.run(n)
				}
			})
		}
	}
	return r
}

func (r *regulars) goesOn() bool {
	select {
	case <-r.stopped:
		return false
	case <-r.cluster.t.Context().Done():
		return false
	default:
		return true
	}
}

func (r *regulars) stop() {
	close(r.stopped)
	r.clients.Wait()
}

// run starts one run on a node and waits for its end there.
func (r *regulars) run(n *node) {
	ctx, cancel := bounded(r.cluster.t)
	defer cancel()
	id, began := workflow.NewRunID(), time.Now()
	r.cluster.starts.note(id, unknown)
	if err := n.start(ctx, loadRequest(id)); err != nil {
		r.cluster.t.Errorf("start run %s on node %d: %v", id, n.pid(), err)
		return
	}
	r.cluster.told(id)
	if err := n.awaitEndOf(ctx, id); err != nil {
		r.cluster.t.Errorf("wait for run %s on node %d: %v", id, n.pid(), err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took = append(r.took, time.Since(began))
}

// awaitEndOf waits until the node says that a run has ended.
func (n *node) awaitEndOf(ctx context.Context, id workflow.RunID) error {
	events, err := n.runs.WatchRun(ctx, &messages.WatchRunRequest{Id: id.String()})
	if err != nil {
		return err
	}
	for events.Receive() {
		if events.Msg().GetEvent().GetKind() == "run_ended" {
			return events.Close()
		}
	}
	return events.Err()
}

// measure returns how many runs have ended a second, and how long they took,
// since the last time.
func (r *regulars) measure() (perSecond float64, took percentiles) {
	r.mu.Lock()
	defer r.mu.Unlock()
	perSecond, took = float64(len(r.took))/time.Since(r.since).Seconds(), percentilesOf(r.took)
	r.took, r.since = nil, time.Now()
	return perSecond, took
}
