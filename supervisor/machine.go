package supervisor

import (
	"slices"
	"time"
)

// A machine decides what a supervisor does with its children. It is a pure state
// machine: it hears what happened and when, and answers with what to do. Its events
// end in settle, which compares what is with what should be, so that a tick that
// comes late or twice does no harm.
type machine struct {
	strategy    Strategy
	maxRestarts int
	window      time.Duration
	rnd         func() float64

	slots    []slot
	restarts intensity
	ready    bool  // all children were up at once
	closing  bool  // all children are to stop, for good
	finished bool  // and have
	verdict  error // why the supervisor gave up, nil if it was told to stop
}

// slot is the machine's view of one child.
type slot struct {
	name    string
	restart Restart
	backoff Backoff
	limit   time.Duration // of a stop, 0 for none

	state  State
	until  time.Time // when BackingOff is over, or Stopping at the latest if not zero
	inTurn bool      // to be started only when all children before it are up
	doomed bool      // to be stopped, with its group or for good

	history
}

func (s *slot) alive() bool {
	return s.state == Starting || s.state == Running || s.state == Stopping
}

// stopFrom enters Stopping.
func (s *slot) stopFrom(now time.Time) {
	s.state, s.until = Stopping, time.Time{}
	if s.limit > 0 {
		s.until = now.Add(s.limit)
	}
}

type action int

const (
	doSpawn   action = iota // spawn the child, then report spawned or notSpawned
	doStop                  // send it a poison pill
	doAbandon               // tell it to stop now, and forget it
	doReport                // all children are up
	doFinish                // end, or fail with the verdict
)

// effect is something for the supervisor to do, with a child where there is one.
type effect struct {
	action action
	child  int
}

func newMachine(cfg Config, children []Child, rnd func() float64) machine {
	m := machine{
		strategy:    cfg.Strategy,
		maxRestarts: cfg.MaxRestarts,
		window:      cfg.Window,
		rnd:         rnd,
		slots:       make([]slot, len(children)),
	}
	for i, c := range children {
		m.slots[i] = slot{name: c.Name, restart: c.Restart, backoff: c.Backoff, inTurn: true}
	}
	return m
}

// spawned says that child i exists, and how long a stop may wait for it.
func (m *machine) spawned(now time.Time, i int, limit time.Duration) []effect {
	m.slots[i].limit = limit
	return m.settle(now)
}

// notSpawned says that child i could not even be spawned.
func (m *machine) notSpawned(now time.Time, i int, err error) []effect {
	m.slots[i].fail(now, err)
	m.end(now, i)
	return m.settle(now)
}

// started says that child i is up.
func (m *machine) started(now time.Time, i int) []effect {
	if s := &m.slots[i]; s.state == Starting {
		s.state, s.upAt = Running, now
	}
	return m.settle(now)
}

// failed says that child i has panicked and has been told to stop. There is nothing
// to do about it before it has ended.
func (m *machine) failed(now time.Time, i int, err error) {
	s := &m.slots[i]
	s.fail(now, err)
	if s.state != Stopping {
		s.stopFrom(now)
	}
}

// exited says that child i has ended.
func (m *machine) exited(now time.Time, i int) []effect {
	m.end(now, i)
	return m.settle(now)
}

// stop says that the supervisor has been told to stop.
func (m *machine) stop(now time.Time) []effect {
	if !m.closing {
		m.close(nil)
	}
	return m.settle(now)
}

// end decides what becomes of child i, which has ended.
func (m *machine) end(now time.Time, i int) {
	s := &m.slots[i]
	switch ordered := s.doomed; {
	case m.closing:
		s.state, s.doomed = Stopped, false
	case ordered && s.restart == Temporary:
		s.state, s.doomed = Stopped, false
	case ordered:
		s.state, s.doomed = Waiting, false
	case s.restart.after(s.failed):
		m.restart(now, i)
	default:
		s.state = Stopped
	}
}

// restart takes down the group of child i, which is to be started again.
func (m *machine) restart(now time.Time, i int) {
	s := &m.slots[i]
	if !m.restarts.allow(now, m.maxRestarts, m.window) {
		s.state = Stopped
		m.close(exhausted(s.name, m.maxRestarts, m.window, s.cause()))
		return
	}
	s.state = BackingOff
	s.until = now.Add(s.delay(now, m.window, s.backoff, m.rnd))

	if m.strategy == OneForOne {
		return
	}
	from, to := m.strategy.span(i, len(m.slots))
	for j := from; j < to; j++ {
		switch s := &m.slots[j]; {
		case s.alive():
			s.doomed, s.inTurn = true, true
		case s.state != Stopped:
			s.inTurn = true
		case s.restart != Temporary:
			s.state, s.inTurn = Waiting, true
		}
	}
}

// close dooms all children.
func (m *machine) close(verdict error) {
	m.closing, m.verdict = true, verdict
	for i := range m.slots {
		if s := &m.slots[i]; s.alive() {
			s.doomed = true
		} else {
			s.state = Stopped
		}
	}
}

// settle returns what has to be done now.
func (m *machine) settle(now time.Time) []effect {
	effects := m.abandon(now)
	effects = append(effects, m.stopNext(now)...)
	if m.closing {
		if !m.finished && !slices.ContainsFunc(m.slots, func(s slot) bool { return s.alive() }) {
			m.finished = true
			effects = append(effects, effect{action: doFinish})
		}
		return effects
	}
	return append(effects, m.startNext(now)...)
}

// abandon gives up the children that should have stopped by now.
func (m *machine) abandon(now time.Time) (effects []effect) {
	for i := range m.slots {
		s := &m.slots[i]
		if s.state == Stopping && !s.until.IsZero() && !now.Before(s.until) {
			if !s.failed {
				s.remark(now, errAbandoned)
			}
			m.end(now, i)
			effects = append(effects, effect{doAbandon, i})
		}
	}
	return effects
}

// stopNext stops the last of the doomed children, unless that is under way.
func (m *machine) stopNext(now time.Time) []effect {
	for i := len(m.slots) - 1; i >= 0; i-- {
		s := &m.slots[i]
		if !s.doomed {
			continue
		}
		if s.state == Stopping {
			return nil
		}
		s.stopFrom(now)
		return []effect{{doStop, i}}
	}
	return nil
}

// startNext starts a child whose time and turn have come, one at a time because the
// spawn may fail. The turn of a group comes when all of it is down and every backoff
// in it is over.
func (m *machine) startNext(now time.Time) []effect {
	turn := true // of the next child that has to wait for its turn
	for i := range m.slots {
		s := &m.slots[i]
		if s.state == BackingOff && !now.Before(s.until) {
			s.state = Waiting
		}
		if s.doomed || s.inTurn && s.state == BackingOff {
			turn = false
		}
	}
	for i := range m.slots {
		s := &m.slots[i]
		if s.state == Waiting && (turn || !s.inTurn) {
			s.state, s.inTurn = Starting, false
			s.begin()
			return []effect{{doSpawn, i}}
		}
		turn = turn && (s.state == Running || s.state == Stopped)
	}
	if turn && !m.ready {
		m.ready = true
		return []effect{{action: doReport}}
	}
	return nil
}

// wakeAt returns when settle has to be called if nothing happens before.
func (m *machine) wakeAt() (at time.Time, ok bool) {
	for i := range m.slots {
		s := &m.slots[i]
		pending := (s.state == BackingOff || s.state == Stopping) && !s.until.IsZero()
		if pending && (!ok || s.until.Before(at)) {
			at, ok = s.until, true
		}
	}
	return at, ok
}
