package actors

import (
	"context"
	"math"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
)

const (
	// deadlinesEvery is how often at least a node looks for the next deadline: it may
	// be that of a run which another node took in, and then left behind. While nodes
	// let each other know when they end it is deadlinesQuiet.
	deadlinesEvery = time.Minute
	deadlinesQuiet = 10 * time.Minute
	// deadlinesSoonest is the least time between two looks.
	deadlinesSoonest = 100 * time.Millisecond
	// deadlinesAgain is when a look is repeated that went wrong.
	deadlinesAgain = 5 * time.Second
	// expireAtOnce bounds how many runs one transaction fails.
	expireAtOnce = 1000
)

// deadlines fails the runs that wait when their deadline is over. Every node waits
// for the next deadline there is, and whoever comes first fails the run. A run that
// runs has its own timer.
type deadlines struct {
	node   *Node
	root   *actor.RootContext
	self   *actor.PID
	next   *time.Timer
	looked time.Time          // when the last look ended
	ahead  time.Time          // of a deadline that came to be known during the look under way; zero for none
	stop   context.CancelFunc // of the look under way; nil for none
}

// Messages to deadlines.
type (
	lookForOverdue struct{}
	// deadlineAhead: a run has come whose deadline is before the next look.
	deadlineAhead struct{ at time.Time }
	overdueFound  struct {
		found persistence.Overdue
		err   error
	}
)

func newDeadlinesProps(node *Node) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return &deadlines{node: node} })
}

// Receive implements [actor.Actor].
func (d *deadlines) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		d.root, d.self = ctx.ActorSystem().Root, ctx.Self()
		d.look()
	case lookForOverdue:
		d.look()
	case deadlineAhead:
		d.expect(message.at)
	case overdueFound:
		d.found(message)
	case *actor.Stopping:
		if d.next != nil {
			d.next.Stop()
		}
		if d.stop != nil {
			d.stop()
		}
	}
}

// expect looks when a deadline is over, unless that is done before anyway.
func (d *deadlines) expect(at time.Time) {
	switch {
	case d.stop != nil && (d.ahead.IsZero() || at.Before(d.ahead)):
		d.ahead = at
	case d.stop == nil && at.UnixNano() < d.node.deadlineLook.Load():
		d.lookAt(at)
	}
}

// lookAt looks at a time, or a little later, so that looks do not follow each other
// closely.
func (d *deadlines) lookAt(at time.Time) {
	if soonest := d.looked.Add(deadlinesSoonest); at.Before(soonest) {
		at = soonest
	}
	if d.next != nil {
		d.next.Stop()
	}
	root, self := d.root, d.self
	d.node.deadlineLook.Store(at.UnixNano())
	d.next = time.AfterFunc(time.Until(at), func() { root.Send(self, lookForOverdue{}) })
}

func (d *deadlines) look() {
	if d.stop != nil {
		d.ahead = time.Now()
		return
	}
	d.node.deadlineLook.Store(math.MaxInt64) // whatever comes is ahead of the look after this one
	root, self, node := d.root, d.self, d.node
	looking, stop := context.WithTimeout(context.Background(), deadlinesAgain)
	d.stop = stop
	go func() {
		defer stop()
		found, err := node.store.Expire(looking, node.standing.boot().ID, expireAtOnce)
		root.Send(self, overdueFound{found, err})
	}()
}

func (d *deadlines) found(m overdueFound) {
	now, ahead := time.Now(), d.ahead
	d.stop, d.looked, d.ahead = nil, now, time.Time{}
	if m.err != nil {
		d.node.log.Warn("runs whose deadline is over were not looked for; the next look is to come", "error", m.err)
		d.lookAt(now.Add(deadlinesAgain))
		return
	}
	if ahead.IsZero() || ahead.After(now.Add(d.patience(m.found.Next))) {
		ahead = now.Add(d.patience(m.found.Next))
	}
	if d.lookAt(ahead); len(m.found.Failed) == expireAtOnce {
		d.look() // there may be more
	}
	if failed := m.found.Failed; len(failed) > 0 {
		d.node.log.Info("runs have failed that waited beyond their deadline", "runs", len(failed), "first", failed[0].ID)
	}
	for _, run := range m.found.Failed {
		d.node.watchers.end(run)
		d.node.tellEnded(run.ID)
		d.node.stirBatch(run)
	}
}

// patience is how long there is nothing to look for, when the next deadline known is
// over after a time; zero for none.
func (d *deadlines) patience(next time.Duration) time.Duration {
	most := deadlinesEvery
	if d.node.shared == nil || d.node.peers.Complete() {
		most = deadlinesQuiet
	}
	if next == 0 {
		return most
	}
	return min(next, most)
}

// expectDeadline has it looked for runs whose deadline is over when that happens to
// one that this node takes in, which is due after a wait. A zero deadline is none.
func (n *Node) expectDeadline(wait, deadline time.Duration) {
	if deadline == 0 || !n.started.Load() {
		return
	}
	if at := time.Now().Add(max(0, wait) + deadline); at.UnixNano() < n.deadlineLook.Load() {
		n.system.Root.Send(n.pid("deadlines"), deadlineAhead{at})
	}
}

func (n *Node) lookForOverdue() {
	if n.started.Load() {
		n.system.Root.Send(n.pid("deadlines"), lookForOverdue{})
	}
}
