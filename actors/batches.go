package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

const (
	// batchesEvery is how often at most is looked whether batches can end of which
	// runs end here.
	batchesEvery = 250 * time.Millisecond
	// batchesAgain is when that is done again after it went wrong.
	batchesAgain = 5 * time.Second
	// openBatchesEvery is how often all open batches are looked at, as long as
	// this node knows of one: the last run of a batch may have ended elsewhere, with
	// a node that died before it looked.
	openBatchesEvery = time.Minute
)

// batches ends batches none of whose runs goes on. Whoever ends a run of one
// says so; a batch that this node does not know costs it nothing.
type batches struct {
	node    *Node
	root    *actor.RootContext
	self    *actor.PID
	stirred map[string]bool // to be looked at
	all     bool            // are to be looked at
	looking bool
	next    *time.Timer // nil when no look is due
	sweep   *time.Timer // nil when no open batch is known
	stop    context.CancelFunc
}

// Messages to batches.
type (
	// batchStirred: a run of the batch has ended, or a page was added.
	batchStirred struct{ id string }
	// batchesStirred: runs of any batch may have ended.
	batchesStirred struct{}
	lookAtBatches  struct{}
	batchesLooked  struct {
		all   bool     // were looked at
		open  int      // of all
		again []string // that could not be ended at once
		err   error
	}
)

func newBatchesProps(node *Node) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &batches{node: node, stirred: map[string]bool{}} })
}

// Receive implements [actor.Actor].
func (b *batches) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		b.root, b.self = ctx.ActorSystem().Root, ctx.Self()
		b.all = true
		b.look()
	case batchStirred:
		b.stirred[message.id] = true
		b.expectMore()
		b.lookWhenFree()
	case batchesStirred:
		b.all = true
		b.lookWhenFree()
	case lookAtBatches:
		b.next = nil
		b.look()
	case batchesLooked:
		b.looked(message)
	case *actor.Stopping:
		for _, timer := range []*time.Timer{b.next, b.sweep} {
			if timer != nil {
				timer.Stop()
			}
		}
		b.stop()
	}
}

func (b *batches) later(delay time.Duration, message any) *time.Timer {
	root, self := b.root, b.self
	return time.AfterFunc(delay, func() { root.Send(self, message) })
}

// expectMore has all open batches looked at by and by.
func (b *batches) expectMore() {
	if b.sweep == nil {
		b.sweep = b.later(openBatchesEvery, batchesStirred{})
	}
}

// lookWhenFree looks now, unless the last look was only just.
func (b *batches) lookWhenFree() {
	if b.next == nil {
		b.look()
	}
}

func (b *batches) look() {
	if b.looking || !b.all && len(b.stirred) == 0 {
		return
	}
	node, all, ids := b.node, b.all, slices.Sorted(maps.Keys(b.stirred))
	b.looking, b.all = true, false
	clear(b.stirred)
	root, self := b.root, b.self
	looking, stop := context.WithCancel(context.Background())
	b.stop = stop
	go func() {
		defer stop()
		root.Send(self, node.endBatches(looking, all, ids))
	}()
}

func (b *batches) looked(m batchesLooked) {
	b.looking = false
	delay := batchesEvery
	if m.err != nil {
		b.node.log.Warn("batches whose runs have ended may still be open; the next look ends them", "error", m.err)
		delay = batchesAgain
	}
	for _, id := range m.again {
		b.stirred[id] = true
	}
	if m.all {
		b.allLooked(m)
	}
	b.next = b.later(delay, lookAtBatches{})
}

// allLooked stops looking at all batches once there are none.
func (b *batches) allLooked(m batchesLooked) {
	if b.sweep != nil {
		b.sweep.Stop()
		b.sweep = nil
	}
	if m.open > 0 || m.err != nil {
		b.expectMore()
	}
}

// endBatches ends those batches that can end, of the named ones or of all.
func (n *Node) endBatches(ctx context.Context, all bool, ids []string) batchesLooked {
	m := batchesLooked{all: all}
	if all {
		open, err := n.store.OpenBatches(ctx)
		if err != nil {
			return batchesLooked{all: all, again: ids, err: err}
		}
		ids, m.open = open, len(open)
	}
	if len(ids) == 0 {
		return m
	}
	ripe, err := n.store.RipeBatches(ctx, ids)
	if err != nil {
		return batchesLooked{all: all, again: ids, err: err}
	}
	for _, id := range ripe {
		ended, err := n.store.EndBatch(ctx, id, n.callback)
		switch {
		case errors.Is(err, errNoCallback):
			n.log.Warn("a batch stays open; register its workflow on this node as it was when the batch was started", "batch", id, "error", err)
		case err != nil:
			m.again, m.err = append(m.again, id), errors.Join(m.err, err)
		case ended:
			m.open--
			n.log.Info("all runs of a batch have ended", "batch", id)
			n.tellDispatcher(released{queue: callbackQueue})
		default:
			m.again = append(m.again, id) // somebody else has it, or a run was retried
		}
	}
	return m
}

// callbackQueue is where runs wait by which batches end.
const callbackQueue = "default"

// errNoCallback: the run that a batch ends with cannot be made here and now.
var errNoCallback = errors.New("the run with which the batch ends cannot be started")

// callback implements [persistence.Callback]. The run has no key, which could
// belong to another one: the row of the batch sees to it that there is one run.
func (n *Node) callback(batch persistence.BatchPage, end workflow.BatchEnd) (persistence.Insert, error) {
	document, err := json.Marshal(end)
	if err != nil {
		return persistence.Insert{}, err
	}
	program, err := n.catalog.find(batch.OnEnd)
	if err != nil {
		return persistence.Insert{}, fmt.Errorf("%w: %w", errNoCallback, err)
	}
	admission, err := program.Admit(document)
	if err != nil {
		return persistence.Insert{}, fmt.Errorf("%w: %s: %w", errNoCallback, batch.OnEnd, err)
	}
	admission.Key = ""
	m, _ := n.admission(workflow.StartRequest{
		Workflow: batch.OnEnd, Options: workflow.Options{ID: batch.CallbackID, Queue: callbackQueue},
	}, program, admission)
	return m.insert, nil
}

// stirBatch has the batch looked at of a run that has ended, if it has one.
func (n *Node) stirBatch(run workflow.Run) {
	if run.Batch != "" {
		n.tellBatches(batchStirred{run.Batch})
	}
}

func (n *Node) tellBatches(message any) { n.system.Root.Send(n.batches, message) }
