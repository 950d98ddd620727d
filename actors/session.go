package actors

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

const (
	// renewPatience bounds one try to renew. It may end the session, which the
	// next try makes anew.
	renewPatience = 2 * time.Second
	// renewAgain is how soon a renewal is repeated that failed.
	renewAgain = 100 * time.Millisecond
	// publicEvery is how many renewals there are for each heartbeat that people see.
	publicEvery = 5
	// orphansEvery is how often the runs of boots that ended are looked for, while
	// any run runs elsewhere: who declared a boot dead may have died over it.
	orphansEvery = 10 * time.Second
)

// session keeps the node's lease in a store that it shares, and judges the
// other nodes: it renews the lease, lets the node begin nothing while it is in
// doubt, declares boots dead and releases their runs. When its own boot was
// declared dead it makes the node drop its runs and go on under a new one.
type session struct {
	node  *Node
	store persistence.Shared
	root  *actor.RootContext
	self  *actor.PID
	judge judge

	renewals  int
	renewing  bool
	rejoining bool
	failing   bool // the last renewal did
	unbroken  time.Duration
	elsewhere bool
	queues    int64     // the settings of queues that the node knows at least
	swept     time.Time // when orphans were last looked for
	charged   map[persistence.BootID]bool
	next      *time.Timer
	due       time.Time // when next is

	running context.Context //nolint:containedctx // of the tasks beside the actor
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

// Messages to the session; its tasks send all but the first. Node.Suspect sends
// a Suspicion.
type (
	renewNow struct{}
	renewed  struct {
		sent    time.Time
		asked   []persistence.BootID
		renewal persistence.Renewal
		queues  int64 // the settings of queues that the node knows at least
		err     error
	}
	declared struct {
		charge persistence.Charge
		ended  bool
		err    error
	}
	// tookOver comes for each batch of runs that was released.
	tookOver struct {
		dead persistence.BootID // was declared so just now, with the first batch of its runs; else empty
		runs persistence.Reassigned
		err  error
	}
	rejoined struct{ boot persistence.Boot }
)

func newSessionProps(node *Node, store persistence.Shared) func(int) *actor.Props {
	return func(int) *actor.Props {
		return actor.PropsFromProducer(func() actor.Actor {
			return &session{node: node, store: store, charged: map[persistence.BootID]bool{}}
		})
	}
}

// Receive implements [actor.Actor].
func (s *session) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		s.root, s.self = ctx.ActorSystem().Root, ctx.Self()
		s.running, s.stop = context.WithCancel(context.Background())
		s.renew()
	case *actor.Stopping:
		if s.next != nil {
			s.next.Stop()
		}
		s.stop()
		s.tasks.Wait()
	case renewNow:
		s.renew()
	case Suspicion:
		if delay, look := s.judge.suspect(time.Now(), message); look {
			s.lookIn(delay)
		}
	case renewed:
		s.renewed(message)
	case declared:
		s.declared(message)
	case tookOver:
		s.tookOver(message)
	case rejoined:
		s.rejoined(message)
	}
}

// task runs work beside the actor and sends it the result, unless that is nil.
func (s *session) task(work func(ctx context.Context) any) {
	ctx, root, self := s.running, s.root, s.self
	s.tasks.Go(func() {
		if result := work(ctx); result != nil {
			root.Send(self, result)
		}
	})
}

func (s *session) renewIn(delay time.Duration) {
	if s.next != nil {
		s.next.Stop()
	}
	root, self := s.root, s.self
	s.due = time.Now().Add(delay)
	s.next = time.AfterFunc(delay, func() { root.Send(self, renewNow{}) })
}

// lookIn renews out of turn. The end of a renewal under way tells by itself when
// the next one is.
func (s *session) lookIn(delay time.Duration) {
	switch {
	case delay == 0:
		s.renew()
	case !s.renewing && time.Until(s.due) > delay:
		s.renewIn(delay)
	}
}

func (s *session) renew() {
	if s.renewing || s.rejoining {
		return
	}
	s.renewing = true
	boot := s.node.standing.boot().ID
	status := persistence.Status{
		State:  persistence.NodeAlive,
		Public: s.renewals%publicEvery == 0,
		Load:   int(s.node.load.Load()),

		Suspected: s.judge.ask(time.Now()),
	}
	known := s.queues
	if s.node.draining.Load() {
		status.State, status.Public = persistence.NodeDraining, true
	}
	s.renewals++
	s.task(func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, renewPatience)
		defer cancel()
		m := renewed{sent: time.Now(), asked: status.Suspected}
		m.renewal, m.err = s.store.Renew(ctx, boot, status)
		if m.queues = known; m.err == nil && m.renewal.Queues != known && s.node.noticeQueues(ctx) {
			m.queues = m.renewal.Queues
		}
		return m
	})
}

func (s *session) renewed(m renewed) {
	s.renewing = false
	switch {
	case errors.Is(m.err, persistence.ErrFenced):
		s.disowned()
		return
	case m.err != nil:
		if !s.failing {
			s.node.log.Warn("the node's lease was not renewed; nothing begins here until it is", "error", m.err)
		}
		s.failing = true
		s.node.standing.failed(m.err)
		s.renewIn(renewAgain/2 + rand.N(renewAgain))
		return
	}
	s.granted(m.sent)
	if m.renewal.Unbroken < s.unbroken {
		s.node.tellDispatcher(lookNow{}) // what the broken session was to hear is lost
		s.node.scheduleChanged("")
		s.task(func(ctx context.Context) any {
			s.node.confirmRuns(ctx)
			return nil
		})
	}
	s.unbroken, s.queues = m.renewal.Unbroken, m.queues
	charges, again := s.judge.weigh(time.Now(), m.asked, m.renewal)
	for _, charge := range charges {
		s.declare(charge)
	}
	s.stir(m.renewal.Elsewhere)
	if again == 0 || again > persistence.RenewEvery {
		again = persistence.RenewEvery - persistence.RenewEvery/10 + rand.N(persistence.RenewEvery/5)
	}
	s.renewIn(again)
}

// granted lets go on what the lack of a renewal kept waiting.
func (s *session) granted(sent time.Time) {
	late := !s.node.standing.good()
	for _, run := range s.node.standing.renewed(sent) {
		s.root.Send(run, leaseRenewed{})
	}
	if late {
		s.node.tellDispatcher(resumed{})
	}
	if s.failing {
		s.failing = false
		s.node.log.Info("the node's lease is renewed again")
	}
}

// stir keeps the sweeps frequent while runs run on other nodes, and sees to
// those that a dead one left.
func (s *session) stir(elsewhere bool) {
	if elsewhere && !s.elsewhere {
		s.node.tellDispatcher(stirred{})
	}
	s.elsewhere = elsewhere
	s.node.elsewhere.Store(elsewhere)
	if elsewhere && time.Since(s.swept) >= orphansEvery {
		s.takeOver("")
	}
}

// disowned sees to it that what the dead boot had ends here, and joins as
// another one.
func (s *session) disowned() {
	s.node.standing.suspend()
	s.node.log.Error("this node was declared dead; it drops its runs and goes on under a new boot id",
		"boot", s.node.standing.boot().ID)
	s.node.tellDispatcher(bootEnded{})
	s.node.agents.suspend()
	if s.node.draining.Load() {
		return // there is nothing more to own
	}
	s.rejoining = true
	boot := s.node.newBoot()
	s.task(func(ctx context.Context) any {
		join := func() error { return s.node.join(ctx, boot) }
		if !s.insist(ctx, "join again", join) {
			return nil
		}
		return rejoined{boot}
	})
}

// insist tries until it works, and returns false when ctx ends first.
func (s *session) insist(ctx context.Context, what string, try func() error) bool {
	for delay := firstRepeat; ; delay = min(2*delay, lastRepeat) {
		err := try()
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			s.node.log.Warn("what a node has to do that was declared dead did not work; it is tried again", "what", what, "error", err)
		}
		if !pause(ctx, delay) {
			return false
		}
	}
}

func (s *session) rejoined(m rejoined) {
	s.rejoining, s.judge = false, judge{}
	s.node.standing.reboot(m.boot)
	s.node.results.orphan() // its former boot
	s.renew()
	s.task(func(ctx context.Context) any {
		s.insist(ctx, "register its agents", func() error { return s.node.agents.settleAgain(ctx) })
		return nil
	})
}

// newBoot is this process under an id that was never used.
func (n *Node) newBoot() persistence.Boot {
	boot := n.identity
	boot.ID = persistence.BootID(workflow.NewRunID().String())
	return boot
}
