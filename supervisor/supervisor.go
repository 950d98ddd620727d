package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Props returns the props of a supervisor, for use as a child of another one. It
// panics if cfg or a child is invalid.
func Props(cfg Config, children ...Child) *actor.Props {
	if err := errors.Join(cfg.validate(), validateAll(children)); err != nil {
		panic(fmt.Errorf("supervisor.Props: %w", err))
	}
	return actor.PropsFromProducer(func() actor.Actor {
		return newSupervisor(cfg, children)
	}, actor.WithReceiverMiddleware(orderly))
}

// supervisor is the shell around a machine: it turns messages into the machine's
// events and carries out the effects.
type supervisor struct {
	cfg      Config
	children []child
	machine  machine
	alarm    alarm
	log      *slog.Logger
	up       func() // reports that all children are up
	ended    func() // reports that the supervisor has ended
}

// child is a Child and its present incarnation. The pointer is nil while there is
// none; it is written by the supervisor alone and read by anyone.
type child struct {
	Child

	live atomic.Pointer[incarnation]
	role string // Node.Kind, once known
}

// Messages of supervisors and pools to themselves.
type (
	// shutdown asks for the stop in order.
	shutdown struct{}
	// tick says that the time for which the alarm was set has come.
	tick struct{}
)

func newSupervisor(cfg Config, children []Child) *supervisor {
	cfg = cfg.withDefaults()
	s := &supervisor{
		cfg:      cfg,
		children: make([]child, len(children)),
		machine:  newMachine(cfg, children, rand.Float64),
		log:      cfg.Logger,
		up:       func() {},
		ended:    func() {},
	}
	for i := range children {
		s.children[i].Child = children[i]
	}
	return s
}

func (s *supervisor) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		s.log = s.cfg.Logger.With("supervisor", ctx.Self().Id)
		s.alarm.to(ctx)
		s.carryOut(ctx, s.machine.settle(time.Now()))
	case started:
		if i := s.index(msg.who); i >= 0 {
			s.carryOut(ctx, s.machine.started(time.Now(), i))
		}
	case *actor.Terminated:
		if i := s.index(msg.Who); i >= 0 {
			s.children[i].live.Store(nil)
			effects := s.machine.exited(time.Now(), i)
			s.logEnd(i)
			s.carryOut(ctx, effects)
		}
	case tick:
		s.carryOut(ctx, s.machine.settle(time.Now()))
	case shutdown:
		s.carryOut(ctx, s.machine.stop(time.Now()))
	case describe:
		msg.reply <- s.view()
	case *actor.Stopping:
		s.stopAtOnce(ctx)
	case *actor.Stopped:
		s.ended()
	default:
		s.log.Warn("unexpected message", "type", fmt.Sprintf("%T", msg))
	}
}

// HandleFailure stops a child that has panicked. It runs on the supervisor's
// goroutine, between messages.
func (s *supervisor) HandleFailure(_ *actor.ActorSystem, self actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	self.StopChildren(who)
	if i := s.index(who); i >= 0 {
		err := asError(reason)
		logFailure(s.log, s.children[i].Name, err)
		s.machine.failed(time.Now(), i, err)
		s.alarm.set(s.machine.wakeAt())
	}
}

// index finds the child whose present incarnation is who, or returns -1. Messages
// about any other incarnation come too late to matter.
func (s *supervisor) index(who *actor.PID) int {
	for i := range s.children {
		if inc := s.children[i].live.Load(); inc != nil && inc.pid() == who {
			return i
		}
	}
	return -1
}

// carryOut performs effects, and those that follow from them.
func (s *supervisor) carryOut(ctx actor.Context, effects []effect) {
	for len(effects) > 0 {
		e := effects[0]
		effects = effects[1:]
		switch e.action {
		case doSpawn:
			effects = append(effects, s.spawn(ctx, e.child)...)
		case doStop:
			ctx.Poison(s.children[e.child].live.Load().pid())
		case doAbandon:
			s.abandon(ctx, e.child)
		case doReport:
			s.up()
		case doFinish:
			s.alarm.stop()
			s.finish(ctx)
			return
		}
	}
	s.alarm.set(s.machine.wakeAt())
}

// spawn starts child i and reports to the machine how that went.
func (s *supervisor) spawn(ctx actor.Context, i int) []effect {
	c, slot := &s.children[i], &s.machine.slots[i]
	inc, err := spawn(ctx, &c.Child, slot.starts-1, true)
	if err != nil {
		logFailure(s.log, c.Name, err)
		effects := s.machine.notSpawned(time.Now(), i, err)
		s.logEnd(i)
		return effects
	}
	c.live.Store(inc)
	c.role = inc.role()
	warnOfAlias(s.log, c.Name, c.id(ctx.Self().Id), inc.pid().Id)
	return s.machine.spawned(time.Now(), i, inc.patience(c.Shutdown))
}

// abandon leaves child i behind.
func (s *supervisor) abandon(ctx actor.Context, i int) {
	c := &s.children[i]
	inc := c.live.Swap(nil)
	ctx.Stop(inc.pid())
	s.log.Warn("child left behind", "child", c.Name, "pid", inc.pid().Id, "after", s.machine.slots[i].limit)
	s.logEnd(i)
}

// stopAtOnce tells all children to stop. There are some only if the supervisor is
// stopped the hard way or has failed by a mistake of its own.
func (s *supervisor) stopAtOnce(ctx actor.Context) {
	s.alarm.stop()
	for i := len(s.children) - 1; i >= 0; i-- {
		if inc := s.children[i].live.Swap(nil); inc != nil {
			ctx.Stop(inc.pid())
		}
	}
}

// finish ends the supervisor, by a failure if it has given up.
func (s *supervisor) finish(ctx actor.Context) {
	if err := s.machine.verdict; err != nil {
		panic(escalation{err})
	}
	ctx.Stop(ctx.Self())
}

// logEnd says what becomes of child i, which has ended by itself.
func (s *supervisor) logEnd(i int) {
	slot := &s.machine.slots[i]
	switch {
	case s.machine.closing:
	case slot.state == BackingOff:
		s.log.Warn("child will be restarted", "child", slot.name, "in", time.Until(slot.until).Round(time.Millisecond), "restarts", slot.restarts())
	case slot.state == Stopped:
		s.log.Info("child has ended", "child", slot.name)
	}
}

func (s *supervisor) reportTo(up func()) { s.up = up }

func (s *supervisor) kind() string { return s.cfg.Strategy.String() }

func (s *supervisor) child(name string) *incarnation {
	for i := range s.children {
		if c := &s.children[i]; c.Name == name {
			return c.live.Load()
		}
	}
	return nil
}

// view describes the children.
func (s *supervisor) view() view {
	v := view{children: make([]sketch, len(s.children))}
	for i := range s.children {
		c, slot := &s.children[i], &s.machine.slots[i]
		v.children[i] = sketchOf(c.Name, c.role, slot.state, &slot.history, c.live.Load())
	}
	return v
}

// orderly makes of a poison pill, which would stop the actor at once, the request
// for a stop in order.
func orderly(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
		if _, ok := envelope.Message.(*actor.PoisonPill); ok {
			envelope = &actor.MessageEnvelope{Message: shutdown{}}
		}
		next(ctx, envelope)
	}
}
