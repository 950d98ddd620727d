package actors

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/centralcloud"
)

const learningsActorName = "learnings"

// learningsActor reads what the hub teaches: every so often, and at once when it
// is asked to. Like sync it is no run.
type learningsActor struct {
	node     *Node
	downlink *downlink // of the work under way, else of the next
	root     *actor.RootContext
	self     *actor.PID

	working  bool
	waiting  []chan<- flushed[receivedLearnings] // for the next work
	failures int                                 // in a row
	next     *time.Timer

	running context.Context //nolint:containedctx // of the work beside the actor
	stop    context.CancelFunc
	task    sync.WaitGroup
}

// Messages to learnings; the last one is from its own work.
type (
	learningsDue   struct{}
	learningsFlush struct {
		reply chan<- flushed[receivedLearnings]
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
		l.root, l.self = ctx.ActorSystem().Root, ctx.Self()
		l.running, l.stop = context.WithCancel(context.Background())
		l.receive()
	case *actor.Stopping:
		if l.next != nil {
			l.next.Stop()
		}
		l.stop()
		l.task.Wait()
	case pingActor:
		message.reply <- struct{}{}
	case learningsDue:
		l.receive()
	case learningsFlush:
		l.waiting = append(l.waiting, message.reply)
		l.receive()
	case learningsReceived:
		l.received(message)
	}
}

// receive reads beside the actor, one thing at a time.
func (l *learningsActor) receive() {
	if l.working {
		return
	}
	replies := l.waiting
	l.working, l.waiting = true, nil
	ctx, root, self, downlink := l.running, l.root, l.self, l.downlink
	l.task.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, hubPatience)
		defer cancel()
		received, err := downlink.receive(ctx)
		root.Send(self, learningsReceived{received, err, replies})
	})
}

func (l *learningsActor) received(m learningsReceived) {
	l.working = false
	counts := &l.node.learningCounts
	switch {
	case m.err != nil:
		if l.failures == 0 {
			l.node.log.Warn("the hub's queue cannot be read; the node goes on with what it knows, and it is tried again", "error", m.err)
		}
		l.failures++
		counts.failures.Add(1)
	case l.failures > 0:
		l.node.log.Info("the hub's queue is read again", "after_failures", l.failures)
		l.failures = 0
	}
	if m.err == nil {
		counts.readAt.Store(time.Now().UnixNano())
	}
	counts.applied.Add(int64(m.received.Applied))
	counts.ignored.Add(int64(m.received.Ignored))
	counts.dead.Add(int64(m.received.Dead))
	for _, reply := range m.replies {
		reply <- flushed[receivedLearnings]{m.received, m.err}
	}
	if l.next != nil {
		l.next.Stop()
	}
	root, self := l.root, l.self
	l.next = time.AfterFunc(hubBackoff(l.failures, l.node.cfg.CentralCloud.LearningsEvery), func() { root.Send(self, learningsDue{}) })
	if len(l.waiting) > 0 {
		l.receive()
	}
}

// flushLearnings reads what there is to read, and says what became of it.
func (n *Node) flushLearnings(ctx context.Context) (receivedLearnings, error) {
	reply := make(chan flushed[receivedLearnings], 1)
	n.system.Root.Send(n.pid(learningsActorName), learningsFlush{reply})
	answer, err := await(ctx, reply)
	if err == nil && answer.err != nil {
		err = unreachableHub(answer.err)
	}
	return answer.done, err
}
