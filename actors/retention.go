package actors

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	// pruneEvery is how often the ended runs are looked through.
	pruneEvery = time.Minute
	// pruneAtOnce is how many are deleted in one transaction.
	pruneAtOnce = 500
)

// retention deletes ended runs that have been kept long enough.
type retention struct {
	node *Node
	next *time.Timer
	stop context.CancelFunc
}

type (
	pruneNow struct{}
	pruned   struct {
		count int
		err   error
	}
)

func newRetentionProps(node *Node) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &retention{node: node} })
}

// Receive implements [actor.Actor].
func (r *retention) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		r.prune(ctx)
	case pruneNow:
		r.prune(ctx)
	case pruned:
		r.pruned(ctx, message)
	case *actor.Stopping:
		r.stop()
		if r.next != nil {
			r.next.Stop()
		}
	}
}

func (r *retention) prune(ctx actor.Context) {
	root, self, node := ctx.ActorSystem().Root, ctx.Self(), r.node
	pruning, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() {
		defer stop()
		count, err := node.store.Prune(pruning, node.cfg.Retention, pruneAtOnce)
		root.Send(self, pruned{count, err})
	}()
}

func (r *retention) pruned(ctx actor.Context, m pruned) {
	switch {
	case m.err != nil:
		r.node.log.Warn("old runs could not be deleted", "error", m.err)
	case m.count > 0:
		r.node.log.Debug("deleted old runs", "count", m.count)
	}
	if m.count == pruneAtOnce {
		r.prune(ctx)
		return
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	r.next = time.AfterFunc(pruneEvery, func() { root.Send(self, pruneNow{}) })
}
