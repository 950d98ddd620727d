package actors

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/centralcloud"
)

const syncActorName = "sync"

// syncActor sends results to the hub: every so often, if there are any, and at
// once when it is asked to. It is no run, so no queue holds it up.
type syncActor struct {
	hubWork

	node    *Node
	uplink  *uplink    // of the work under way, else of the next
	waiting []flushNow // for the next work
}

// Messages to sync; the last one is from its own work. Until there is a hub, it gets
// none.
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
		s.start(ctx)
		if s.node.results.on() {
			s.arm()
		}
	case *actor.Stopping:
		s.end()
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

func (s *syncActor) arm() { s.again(s.node.cfg.CentralCloud.ResultsEvery, resultsDue{}) }

func (s *syncActor) send() {
	switch {
	case s.working:
		return
	case len(s.waiting) == 0 && !s.node.results.pending():
		s.arm()
		return
	}
	replies, uplink, last := s.waiting, s.uplink, false
	for _, flush := range replies {
		last = last || flush.last
	}
	s.waiting = nil
	s.task(func(ctx context.Context) any {
		sent, err := uplink.send(ctx, last)
		return resultsSent{sent, err, replies}
	})
}

func (s *syncActor) sent(m resultsSent) {
	s.done(m.err, s.node.log, "results do not reach the hub; runs go on, and it is tried again", "results reach the hub again")
	results := s.node.results
	results.sent.Add(int64(m.sent.Messages))
	switch {
	case m.err != nil:
		results.failures.Add(1)
	case m.sent.Messages > 0:
		results.sentAt.Store(time.Now().UnixNano())
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
	return awaitFlush(ctx, reply)
}

// lastResults sends what a node that stops did. What the hub does not get, another
// node sends, or the next process.
func (n *Node) lastResults(ctx context.Context, drained bool) {
	if !n.results.on() {
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
