package soak

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"singularity/messages"
	"singularity/workflow"
)

// outcome is what a client knows of a start.
type outcome string

const (
	unknown      outcome = "unknown" // and so it stays, unless it is repeated
	acknowledged outcome = "acknowledged"
	refused      outcome = "refused" // with nothing written
)

// starts is what the clients were told.
type starts struct {
	mu      sync.Mutex
	known   map[workflow.RunID]outcome
	refused int // calls without a good answer
}

func newStarts() *starts { return &starts{known: map[workflow.RunID]outcome{}} }

func (s *starts) note(id workflow.RunID, told outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[id] = told
}

func (s *starts) all() map[workflow.RunID]outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.known)
}

// load starts runs at a fixed rate until it is stopped.
type load struct {
	cluster *cluster
	stopped chan struct{}
	clients sync.WaitGroup

	mu   sync.Mutex
	lost []string // starts that were never acknowledged
}

// callPatience is for one call; a node that is stopped does not answer.
const callPatience = 5 * time.Second

func (c *cluster) startLoad(startsPerSecond int) *load {
	l := c.newLoad()
	l.repeat(time.Second/time.Duration(startsPerSecond), func() {
		l.clients.Go(func() { l.start(loadRequest(workflow.NewRunID())) })
	})
	return l
}

func (c *cluster) newLoad() *load { return &load{cluster: c, stopped: make(chan struct{})} }

// repeat does something again and again, until the load is stopped.
func (l *load) repeat(every time.Duration, do func()) {
	l.clients.Go(func() {
		again := time.NewTicker(every)
		defer again.Stop()
		for {
			select {
			case <-again.C:
				do()
			case <-l.stopped:
				return
			case <-l.cluster.t.Context().Done():
				return
			}
		}
	})
}

// stop starts no more runs, and waits until all that were begun are
// acknowledged.
func (l *load) stop() {
	close(l.stopped)
	l.clients.Wait()
	for _, lost := range l.lost {
		l.cluster.brokenly("%s", lost)
	}
}

// start is a client: it repeats the start of one run, on one node after the
// other, until it is acknowledged.
func (l *load) start(request *messages.StartRunRequest) {
	ctx, cancel := bounded(l.cluster.t)
	defer cancel()
	id, _ := workflow.ParseRunID(request.GetId())
	l.cluster.starts.note(id, unknown)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := l.cluster.start(ctx, request)
		if err == nil {
			l.cluster.starts.note(id, acknowledged)
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			l.lost = append(l.lost, fmt.Sprintf("run %s was not acknowledged in %s: %v", id, patience, err))
			return
		}
	}
}

// start has the next node start a run.
func (c *cluster) start(ctx context.Context, request *messages.StartRunRequest) error {
	n := c.next()
	if n == nil {
		return fmt.Errorf("no node is there")
	}
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	err := n.start(ctx, request)
	if err != nil {
		c.starts.mu.Lock()
		defer c.starts.mu.Unlock()
		c.starts.refused++
	}
	return err
}
