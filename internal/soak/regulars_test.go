package soak

import (
	"cmp"
	"context"
	"fmt"
	"io"
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
	lost  []string // runs that were not started, or not seen to end
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

// stop lets the clients wait for the runs that they have started.
func (r *regulars) stop() {
	close(r.stopped)
	r.clients.Wait()
	for _, lost := range r.lost {
		r.cluster.brokenly("%s", lost)
	}
}

// run starts one run on a node and waits for its end there.
func (r *regulars) run(n *node) {
	ctx, cancel := bounded(r.cluster.t)
	defer cancel()
	id, began := workflow.NewRunID(), time.Now()
	r.cluster.starts.note(id, unknown)
	err := n.start(ctx, loadRequest(id))
	if err == nil {
		r.cluster.told(id)
		err = n.awaitEndOf(ctx, id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.lost = append(r.lost, fmt.Sprintf("run %s did not go well on node %d: %v", id, n.pid(), err))
		return
	}
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
	return cmp.Or(events.Err(), io.ErrUnexpectedEOF)
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
