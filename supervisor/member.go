package supervisor

import (
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A member is a child of a pool.
type member struct {
	Child

	inc     *incarnation // nil while it waits for its restart
	trouble *trouble     // nil for a child that has had none
}

// trouble is what a pool keeps of a child that has done more than start and run.
type trouble struct {
	history

	recent    intensity
	state     State // Running, Stopping or BackingOff
	dismissed bool  // stopped for good
	timer     *time.Timer
}

// overdue tells a pool that a member was in the given state of its given
// incarnation for as long as it may be.
type overdue struct {
	member *member
	start  int
	state  State
}

// inTrouble returns the member's trouble, and makes it at first.
func (m *member) inTrouble() *trouble {
	if m.trouble == nil {
		m.trouble = &trouble{history: history{starts: 1}, state: Running}
	}
	return m.trouble
}

func (m *member) isDismissed() bool { return m.trouble != nil && m.trouble.dismissed }

func (m *member) hasFailed() bool { return m.trouble != nil && m.trouble.failed }

// quiet turns off the member's timer.
func (m *member) quiet() {
	if m.trouble != nil && m.trouble.timer != nil {
		m.trouble.timer.Stop()
	}
}

func (m *member) sketch() sketch {
	state, h := Running, &history{}
	if t := m.trouble; t != nil {
		state, h = t.state, &t.history
	}
	return sketchOf(m.Name, m.inc.role(), state, h, m.inc)
}

func (p *pool) spawn(ctx actor.Context, m *member, start int) error {
	inc, err := spawn(ctx, &m.Child, start, false)
	if err != nil {
		return err
	}
	m.inc = inc
	p.live[inc.pid()] = m
	warnOfAlias(p.log, m.Name, m.id(p.self), inc.pid().Id)
	return nil
}

// dismiss stops m for good.
func (p *pool) dismiss(ctx actor.Context, m *member) {
	if m.inc == nil {
		p.drop(m)
		return
	}
	m.inTrouble().dismissed = true
	ctx.Poison(m.inc.pid())
	p.awaitEnd(m)
}

// ended decides what becomes of m, whose incarnation has ended or is left behind.
func (p *pool) ended(ctx actor.Context, m *member) {
	delete(p.live, m.inc.pid())
	m.inc = nil
	switch {
	case p.closing != nil || m.isDismissed() || !m.Restart.after(m.hasFailed()):
		p.drop(m)
	default:
		p.restart(m)
	}
	p.endIfEmpty(ctx)
}

// restart has m started again after its backoff, or drops it.
func (p *pool) restart(m *member) {
	now, t := time.Now(), m.inTrouble()
	if !t.recent.allow(now, p.cfg.MaxRestarts, p.cfg.Window) {
		p.giveUp(m)
		return
	}
	delay := t.delay(now, p.cfg.Window, m.Backoff, rand.Float64)
	p.enter(m, BackingOff, delay)
	p.log.Warn("child will be restarted", "child", m.Name, "in", delay.Round(time.Millisecond), "restarts", t.restarts())
}

// resume starts m again.
func (p *pool) resume(ctx actor.Context, m *member) {
	t := m.trouble
	t.begin()
	t.state, t.upAt = Running, time.Now()
	if err := p.spawn(ctx, m, t.restarts()); err != nil {
		logFailure(p.log, m.Name, err)
		t.fail(time.Now(), err)
		p.restart(m)
	}
}

func (p *pool) giveUp(m *member) {
	p.drop(m)
	g := GaveUp{
		Name:     m.Name,
		PID:      m.id(p.self),
		Restarts: m.trouble.restarts(),
		Err:      exhausted(m.Name, p.cfg.MaxRestarts, p.cfg.Window, m.trouble.cause()),
	}
	p.log.Error("child given up", "child", m.Name, "restarts", g.Restarts, "error", g.Err)
	p.cfg.OnGaveUp(g)
}

// leave goes on without m.
func (p *pool) leave(ctx actor.Context, m *member) {
	pid := m.inc.pid()
	ctx.Stop(pid)
	p.log.Warn("child left behind", "child", m.Name, "pid", pid.Id, "after", m.Shutdown)
	if !m.hasFailed() {
		m.inTrouble().remark(time.Now(), errAbandoned)
	}
	p.ended(ctx, m)
}

// drop forgets m.
func (p *pool) drop(m *member) {
	delete(p.names, m.Name)
	m.quiet()
}

// enter puts m, which is in trouble, into a state that it may be in for d.
func (p *pool) enter(m *member, state State, d time.Duration) {
	m.quiet()
	m.trouble.state = state
	m.trouble.timer = p.after(d, overdue{m, m.trouble.starts, state})
}

// awaitEnd sets the time after which m, which has been told to stop, is left behind.
func (p *pool) awaitEnd(m *member) {
	if m.trouble.state != Stopping {
		p.enter(m, Stopping, m.Shutdown)
	}
}

// overdue acts on a state that has lasted too long, unless it is over by now.
func (p *pool) overdue(ctx actor.Context, msg overdue) {
	m, t := msg.member, msg.member.trouble
	if p.names[m.Name] != m || t.starts != msg.start || t.state != msg.state {
		return
	}
	if t.state == BackingOff {
		p.resume(ctx, m)
	} else {
		p.leave(ctx, m)
	}
}
