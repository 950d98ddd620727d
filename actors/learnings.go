package actors

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/centralcloud"
)

const learningsActorName = "learnings"

// learningsActor reads what the hub teaches: every so often, and at once when it
// is asked to. Like sync it is no run. Until there is a hub, it looks for one
// whenever it hears that there may be.
type learningsActor struct {
	hubWork

	node     *Node
	mayBe    bool                                // there, a hub, as was heard during the work under way
	downlink *downlink                           // of the work under way, else of the next
	waiting  []chan<- flushed[receivedLearnings] // for the next work
}

// Messages to learnings; the last ones are from its own work.
type (
	hubMayBe       struct{}
	learningsDue   struct{}
	learningsFlush struct {
		reply chan<- flushed[receivedLearnings]
	}
	hubSought struct {
		found bool
		err   error
	}
	learningsReceived struct {
		received receivedLearnings
		err      error
		replies  []chan<- flushed[receivedLearnings]
	}
)

// learningCounts are for [Stats].
type learningCounts struct {
	readAt                           atomic.Int64 // when the queue was read last, in Unix nanoseconds
	applied, ignored, dead, failures atomic.Int64
}

func newLearningsProps(node *Node) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &learningsActor{node: node, downlink: &downlink{
			node: node, queue: node.cfg.CentralCloud.Queue, name: centralcloud.DownQueue(node.cfg.Instance), current: true,
		}}
	})
}

// Receive implements [actor.Actor].
func (l *learningsActor) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		l.start(ctx)
		if l.node.results.on() {
			l.receive()
		} else {
			l.seek()
		}
	case *actor.Stopping:
		l.end()
	case pingActor:
		message.reply <- struct{}{}
	case hubMayBe:
		l.seek()
	case hubSought:
		l.sought(message)
	case learningsDue:
		l.receive()
	case learningsFlush:
		l.waiting = append(l.waiting, message.reply)
		l.receive()
	case learningsReceived:
		l.received(message)
	}
}

// seek looks for a hub.
func (l *learningsActor) seek() {
	if l.mayBe = l.working; l.working || l.node.results.on() {
		return
	}
	node := l.node
	l.task(func(ctx context.Context) any {
		found, err := node.seekHub(ctx)
		return hubSought{found, err}
	})
}

func (l *learningsActor) sought(m hubSought) {
	l.done(m.err, l.node.log, "it is not known whether there is a hub in this node's database; it is asked again", "it is known whether there is a hub")
	switch {
	case m.err != nil:
		l.again(l.node.cfg.CentralCloud.LearningsEvery, hubMayBe{})
	case m.found:
		l.downlink.current = false // nothing was asked of the store yet
		l.node.system.Root.Send(l.node.pid(syncActorName), resultsDue{})
		l.receive()
	case l.mayBe:
		l.seek()
	}
}

func (l *learningsActor) receive() {
	if l.working {
		return
	}
	replies, downlink := l.waiting, l.downlink
	l.waiting = nil
	l.task(func(ctx context.Context) any {
		received, err := downlink.receive(ctx)
		return learningsReceived{received, err, replies}
	})
}

func (l *learningsActor) received(m learningsReceived) {
	l.done(m.err, l.node.log, "the hub's queue cannot be read; the node goes on with what it knows, and it is tried again", "the hub's queue is read again")
	counts := &l.node.learningCounts
	if m.err != nil {
		counts.failures.Add(1)
	} else {
		counts.readAt.Store(time.Now().UnixNano())
	}
	counts.applied.Add(int64(m.received.Applied))
	counts.ignored.Add(int64(m.received.Ignored))
	counts.dead.Add(int64(m.received.Dead))
	for _, reply := range m.replies {
		reply <- flushed[receivedLearnings]{m.received, m.err}
	}
	l.again(l.node.cfg.CentralCloud.LearningsEvery, learningsDue{})
	if len(l.waiting) > 0 {
		l.receive()
	}
}

// flushLearnings reads what there is to read, and says what became of it.
func (n *Node) flushLearnings(ctx context.Context) (receivedLearnings, error) {
	reply := make(chan flushed[receivedLearnings], 1)
	n.system.Root.Send(n.pid(learningsActorName), learningsFlush{reply})
	return awaitFlush(ctx, reply)
}
