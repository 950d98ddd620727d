package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Why a pool refuses to start a child.
var (
	ErrChildExists = errors.New("a child of this name exists")
	ErrStopping    = errors.New("the pool is stopping")
)

// maxDescribed is the number of children that the description of a pool lists.
const maxDescribed = 100

// PoolConfig holds the settings of a pool. The zero value is a good one.
type PoolConfig struct {
	// MaxRestarts is how many times within Window a child is restarted; instead of
	// once more it is dropped. Negative means none. Defaults to 10.
	MaxRestarts int
	// Window is the time in which restarts are counted, and the time that a child
	// has to run for its Backoff to start over. Defaults to 1m.
	Window time.Duration
	// Backoff delays restarts of children that do not bring their own.
	Backoff Backoff
	// Shutdown is how long a stop of the pool waits for its children, which stop at
	// the same time, and a stop of a single child for that one. Defaults to 5s.
	Shutdown time.Duration
	// Logger receives failures, restarts and children left behind. Defaults to
	// slog.Default().
	Logger *slog.Logger
	// OnGaveUp is told of each child that was dropped for needing too many restarts.
	// It runs inside the pool and must not block. Defaults to nothing.
	OnGaveUp func(GaveUp)
}

func (c PoolConfig) withDefaults() PoolConfig {
	if c.MaxRestarts == 0 {
		c.MaxRestarts = defaultMaxRestarts
	}
	if c.Window == 0 {
		c.Window = defaultWindow
	}
	if c.Shutdown == 0 {
		c.Shutdown = defaultShutdown
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.OnGaveUp == nil {
		c.OnGaveUp = func(GaveUp) {}
	}
	return c
}

func (c PoolConfig) validate() error {
	var errs []error
	if c.Window < 0 {
		errs = append(errs, fmt.Errorf("invalid Window %s, want a positive duration", c.Window))
	}
	if c.Shutdown < 0 {
		errs = append(errs, fmt.Errorf("invalid Shutdown %s, want a positive duration", c.Shutdown))
	}
	if err := c.Backoff.validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// GaveUp says that a pool has dropped a child.
type GaveUp struct {
	Name     string
	PID      string // the child's actor id
	Restarts int
	Err      error // wraps ErrIntensity and the last failure
}

// StartChild is the message that has a pool start a child. To a sender, if the
// message has one, the pool answers with a ChildStarted; otherwise it logs a refusal.
//
// The pool does not wait for the child to handle *actor.Started; if that panics, it
// is the first failure of a child that was started.
type StartChild struct{ Child Child }

// ChildStarted is a pool's answer to StartChild.
type ChildStarted struct {
	Name string
	PID  *actor.PID // nil if there is an Err
	// Err is ErrChildExists if the pool has a child of that name, be it one that
	// waits for its restart or one whose end the pool has not heard of; ErrStopping;
	// or what is wrong with the Child.
	Err error
}

// StopChild is the message that has a pool stop a child for good, even one that
// waits for its restart. Nothing happens if there is no such child.
type StopChild struct{ Name string }

// PoolProps returns the props of a pool: a supervisor without a fixed list of
// children, for many that come and go. A pool differs from other supervisors in
// that its children have nothing to do with each other. They start when StartChild
// says so, in no order, each is restarted within limits of its own, and one that
// exceeds them is dropped without harm to the pool and the others. They stop
// together when the pool does, and are gone from it when they have ended for good.
// A pool that is itself restarted starts empty.
//
// PoolProps panics if cfg is invalid.
func PoolProps(cfg PoolConfig) *actor.Props {
	if err := cfg.validate(); err != nil {
		panic(fmt.Errorf("supervisor.PoolProps: %w", err))
	}
	return actor.PropsFromProducer(func() actor.Actor {
		return newPool(cfg)
	}, actor.WithReceiverMiddleware(orderly))
}

type pool struct {
	cfg     PoolConfig
	log     *slog.Logger
	self    string
	up      func() // reports that the pool takes children
	after   func(time.Duration, any) *time.Timer
	names   map[string]*member
	live    map[*actor.PID]*member // those that have an actor
	closing *time.Timer            // set during the stop, rings when it has to end
}

func newPool(cfg PoolConfig) *pool {
	cfg = cfg.withDefaults()
	return &pool{
		cfg:   cfg,
		log:   cfg.Logger,
		up:    func() {},
		names: make(map[string]*member),
		live:  make(map[*actor.PID]*member),
	}
}

func (p *pool) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		p.begin(ctx)
	case StartChild:
		p.start(ctx, msg.Child)
	case StopChild:
		if m := p.names[msg.Name]; m != nil {
			p.dismiss(ctx, m)
		}
	case *actor.Terminated:
		if m := p.live[msg.Who]; m != nil {
			p.ended(ctx, m)
		}
	case overdue:
		p.overdue(ctx, msg)
	case shutdown:
		p.close(ctx)
	case tick:
		p.leaveAll(ctx)
	case describe:
		msg.reply <- p.view()
	case *actor.Stopping:
		p.stopAtOnce(ctx)
	case *actor.Stopped: // nothing is left to do
	default:
		p.log.Warn("unexpected message", "type", fmt.Sprintf("%T", msg))
	}
}

// HandleFailure stops a child that has panicked. It runs on the pool's goroutine,
// between messages.
func (p *pool) HandleFailure(_ *actor.ActorSystem, self actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	self.StopChildren(who)
	if m := p.live[who]; m != nil {
		err := asError(reason)
		logFailure(p.log, m.Name, err)
		m.inTrouble().fail(time.Now(), err)
		p.awaitEnd(m)
	}
}

func (p *pool) begin(ctx actor.Context) {
	root, self := ctx.ActorSystem().Root, ctx.Self()
	p.self = self.Id
	p.log = p.cfg.Logger.With("supervisor", p.self)
	p.after = func(d time.Duration, msg any) *time.Timer {
		return time.AfterFunc(d, func() { root.Send(self, msg) })
	}
	p.up()
}

// start starts a new child and answers for it.
func (p *pool) start(ctx actor.Context, c Child) {
	pid, err := p.admit(ctx, c)
	switch {
	case ctx.Sender() != nil:
		ctx.Respond(ChildStarted{Name: c.Name, PID: pid, Err: err})
	case err != nil:
		p.log.Warn("child refused", "child", c.Name, "error", err)
	}
}

func (p *pool) admit(ctx actor.Context, c Child) (*actor.PID, error) {
	if p.closing != nil {
		return nil, ErrStopping
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	if p.names[c.Name] != nil {
		return nil, fmt.Errorf("child %q: %w", c.Name, ErrChildExists)
	}
	if c.Shutdown == 0 {
		c.Shutdown = p.cfg.Shutdown
	}
	if c.Backoff == (Backoff{}) {
		c.Backoff = p.cfg.Backoff
	}
	m := &member{Child: c}
	if err := p.spawn(ctx, m, 0); err != nil {
		return nil, fmt.Errorf("child %q: %w", c.Name, err)
	}
	p.names[c.Name] = m
	return m.inc.pid(), nil
}

// close stops all children at once.
func (p *pool) close(ctx actor.Context) {
	if p.closing != nil {
		return
	}
	p.closing = p.after(p.cfg.Shutdown, tick{})
	for _, m := range p.names {
		if m.inc == nil {
			p.drop(m)
		} else {
			ctx.Poison(m.inc.pid())
		}
	}
	p.endIfEmpty(ctx)
}

// leaveAll goes on without the children that a stop still waits for.
func (p *pool) leaveAll(ctx actor.Context) {
	for _, m := range p.names {
		p.leave(ctx, m)
	}
}

func (p *pool) endIfEmpty(ctx actor.Context) {
	if p.closing != nil && len(p.names) == 0 {
		ctx.Stop(ctx.Self())
	}
}

// stopAtOnce tells all children to stop. There are some only if the pool is stopped
// the hard way or has failed by a mistake of its own.
func (p *pool) stopAtOnce(ctx actor.Context) {
	if p.closing != nil {
		p.closing.Stop()
	}
	for _, m := range p.names {
		m.quiet()
		if m.inc != nil {
			ctx.Stop(m.inc.pid())
		}
	}
}

func (p *pool) reportTo(up func()) { p.up = up }

func (p *pool) kind() string { return "pool" }

// child returns nil: the children of a pool are known to the pool's goroutine only.
func (p *pool) child(string) *incarnation { return nil }

// view describes up to maxDescribed children, those in trouble first.
func (p *pool) view() view {
	listed := make([]*member, 0, min(len(p.names), maxDescribed))
	for _, troubled := range []bool{true, false} {
		for _, m := range p.names {
			if len(listed) == maxDescribed {
				break
			}
			if (m.trouble != nil) == troubled {
				listed = append(listed, m)
			}
		}
	}
	slices.SortFunc(listed, func(a, b *member) int { return strings.Compare(a.Name, b.Name) })
	v := view{more: len(p.names) - len(listed)}
	for _, m := range listed {
		v.children = append(v.children, m.sketch())
	}
	return v
}
