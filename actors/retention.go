package actors

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

const (
	// expiryEvery is how often a node looks for what has expired; more often when
	// runs are kept for less than twice as long.
	expiryEvery = time.Minute
	// expirySoonest is the least time between two looks.
	expirySoonest = time.Second
	// retentionPatience is how long a run that prunes may wait for a slot before
	// the log says so, and says so again.
	retentionPatience = 10 * time.Minute
)

// retention begins a run of the workflow that prunes as soon as something has
// expired, unless one is at it already, on whatever node.
type retention struct {
	node   *Node
	next   *time.Timer
	stop   context.CancelFunc // of the look under way; nil for none
	warned time.Time
}

type (
	lookForExpired struct{}
	expiredFound   struct {
		expiry persistence.Expiry
		err    error
	}
)

func newRetentionProps(node *Node) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &retention{node: node} })
}

// Receive implements [actor.Actor].
func (r *retention) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		r.lookLater(ctx)
	case lookForExpired:
		r.look(ctx)
	case expiredFound:
		r.found(message)
		r.lookLater(ctx)
	case *actor.Stopping:
		if r.stop != nil {
			r.stop()
		}
		r.next.Stop()
	}
}

func (r *retention) lookLater(ctx actor.Context) {
	root, self := ctx.ActorSystem().Root, ctx.Self()
	if r.next != nil {
		r.next.Stop()
	}
	r.next = time.AfterFunc(betweenLooks(r.node.retentionPolicy()), func() { root.Send(self, lookForExpired{}) })
}

// betweenLooks is the time between two looks.
func betweenLooks(policy persistence.RetentionPolicy) time.Duration {
	return min(expiryEvery, max(expirySoonest, policy.Shortest()/2))
}

func (r *retention) look(ctx actor.Context) {
	switch {
	case r.stop != nil:
		return
	case !r.node.started.Load(): // so it could start no run
		r.lookLater(ctx)
		return
	}
	root, self, node := ctx.ActorSystem().Root, ctx.Self(), r.node
	looking, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() {
		defer stop()
		expiry, err := node.beginPruning(looking)
		root.Send(self, expiredFound{expiry, err})
	}()
}

func (r *retention) found(m expiredFound) {
	r.stop = nil
	node := r.node
	if m.err != nil {
		node.log.Warn("what has expired could not be looked for or deleted; the next look is to come", "error", m.err)
		return
	}
	node.retentionWaits.Store(int64(m.expiry.Waits))
	if m.expiry.Waits >= retentionPatience && time.Since(r.warned) >= retentionPatience {
		r.warned = time.Now()
		node.log.Warn("what has expired is not deleted, since the run that does it finds no slot; resume its queue, or give it more slots",
			"run", m.expiry.Run, "waits", m.expiry.Waits.Round(time.Second))
	}
}

// beginPruning starts a run that prunes, if there is need of one.
func (n *Node) beginPruning(ctx context.Context) (persistence.Expiry, error) {
	found, err := n.store.Expired(ctx, n.retentionPolicy())
	if err != nil || !found.Due() {
		return found, err
	}
	if found.Run.IsZero() {
		err = n.startPruning(ctx)
	}
	switch {
	case errors.Is(err, workflow.ErrDraining):
		return found, nil
	case errors.Is(err, workflow.ErrUnavailable), found.Waits > 0 && n.journal.faltered():
		// A full disk takes in no run, but lets go of what it has.
		_, err = n.prune(ctx)
	}
	return found, err
}

// startPruning starts a run that prunes. Nodes that do so at the same time start
// the same one.
func (n *Node) startPruning(ctx context.Context) error {
	_, err := n.StartRun(ctx, workflow.StartRequest{
		Workflow: persistence.RetentionWorkflow, Input: json.RawMessage(`{}`),
		Options: workflow.Options{Queue: n.retentionQueue(), Unique: workflow.Unique{By: workflow.ByWorkflow}},
	})
	return err
}

// retentionQueue is metrics, if this node works it, since whatever else it works
// is for its users.
func (n *Node) retentionQueue() string {
	for _, name := range []string{"metrics", "default"} {
		if n.slots(name) > 0 {
			return name
		}
	}
	return n.queueNames()[0]
}
