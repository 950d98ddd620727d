package actors

import (
	"context"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/centralcloud"
)

const syncActorName = "sync"

// syncActor sends results to the hub: every so often, if there are any, and at
// once when it is asked to. It is no run, so no queue holds it up.
type syncActor struct {
	node   *Node
	uplink *uplink // of the work under way, else of the next
	root   *actor.RootContext
	self   *actor.PID

	working  bool
	waiting  []flushNow // for the next work
	failures int        // in a row
	next     *time.Timer

	running context.Context //nolint:containedctx // of the work beside the actor
	stop    context.CancelFunc
	task    sync.WaitGroup
}

// Messages to sync; the last one is from its own work.
type (
	resultsDue struct{}
	flushNow   struct {
		last  bool // the boot will record no more
		reply chan<- flushed[sentResults]
	}
	resultsSent struct {
		sent    sentResults
		err     error
		replies []flushNow
	}
)

func newSyncProps(node *Node) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &syncActor{node: node, uplink: &uplink{
			node: node, queue: node.cfg.CentralCloud.Queue, sent: centralcloud.Revisions{},
		}}
	})
}

// Receive implements [actor.Actor].
func (s *syncActor) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		s.root, s.self = ctx.ActorSystem().Root, ctx.Self()
		s.running, s.stop = context.WithCancel(context.Background())
		s.arm()
	case *actor.Stopping:
		s.next.Stop()
		s.stop()
		s.task.Wait()
	case pingActor:
		message.reply <- struct{}{}
	case resultsDue:
		s.send()
	case flushNow:
		s.waiting = append(s.waiting, message)
		s.send()
	case resultsSent:
		s.sent(message)
	}
}

func (s *syncActor) arm() {
	if s.next != nil {
		s.next.Stop()
	}
	root, self := s.root, s.self
	delay := hubBackoff(s.failures, s.node.cfg.CentralCloud.ResultsEvery)
	s.next = time.AfterFunc(delay, func() { root.Send(self, resultsDue{}) })
}

// send sends beside the actor, one thing at a time.
func (s *syncActor) send() {
	switch {
	case s.working:
		return
	case len(s.waiting) == 0 && !s.node.results.pending():
		s.arm()
		return
	}
	replies, last := s.waiting, false
	for _, flush := range replies {
		last = last || flush.last
	}
	s.working, s.waiting = true, nil
	ctx, root, self, uplink := s.running, s.root, s.self, s.uplink
	s.task.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, hubPatience)
		defer cancel()
		sent, err := uplink.send(ctx, last)
		root.Send(self, resultsSent{sent, err, replies})
	})
}

func (s *syncActor) sent(m resultsSent) {
	s.working = false
	node := s.node
	switch {
	case m.err != nil:
		if s.failures == 0 {
			node.log.Warn("results do not reach the hub; runs go on, and it is tried again", "error", m.err)
		}
		s.failures++
		node.results.failures.Add(1)
	case s.failures > 0:
		node.log.Info("results reach the hub again", "after_failures", s.failures)
		s.failures = 0
	}
	node.results.sent.Add(int64(m.sent.Messages))
	if m.err == nil && m.sent.Messages > 0 {
		node.results.sentAt.Store(time.Now().UnixNano())
	}
	for _, flush := range m.replies {
		flush.reply <- flushed[sentResults]{m.sent, m.err}
	}
	s.arm()
	if len(s.waiting) > 0 {
		s.send()
	}
}

// flushResults sends what there is to send, and what it sent.
func (n *Node) flushResults(ctx context.Context, last bool) (sentResults, error) {
	reply := make(chan flushed[sentResults], 1)
	n.system.Root.Send(n.pid(syncActorName), flushNow{last, reply})
	answer, err := await(ctx, reply)
	if err == nil && answer.err != nil {
		err = unreachableHub(answer.err)
	}
	return answer.done, err
}

// lastResults sends what a node that stops did. What the hub does not get, another
// node sends, or the next process.
func (n *Node) lastResults(ctx context.Context, drained bool) {
	if n.results == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastResultsPatience)
	defer cancel()
	if _, err := n.flushResults(ctx, drained); err != nil {
		n.log.Warn("the last results have not reached the hub; another node sends them, or the next process", "error", err)
	}
}

// lastResultsPatience is for how long a node that stops waits for the hub.
const lastResultsPatience = 2 * time.Second
