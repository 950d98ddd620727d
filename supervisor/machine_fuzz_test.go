package supervisor

import (
	"slices"
	"testing"
	"time"
)

// FuzzMachine lets children come up, fail and end in any order and at any time, and
// checks what must hold whatever happens.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 0, 0})
	f.Add([]byte{1, 0, 0, 1, 4, 2, 2, 7, 7, 0, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte{2, 9, 5, 0, 0, 0, 16, 16, 32, 48, 7, 7, 7, 9, 18, 33, 34, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		o := newObserver(t, data[0], data[1])
		o.observe(o.machine.settle(o.now))
		for _, b := range data[2:] {
			o.play(b)
		}
		o.shutDown()
	})
}

// observer plays the part of the actors and keeps its own account of them.
type observer struct {
	*testing.T

	machine  machine
	now      time.Time
	alive    []bool
	up       []bool
	barren   bool // the next spawn fails
	finished int
}

func newObserver(t *testing.T, strategy, kinds byte) *observer {
	t.Helper()
	cfg := Config{Strategy: Strategy(strategy % 3), MaxRestarts: 4}.withDefaults()
	children := make([]Child, 4)
	for i := range children {
		children[i].Restart = Restart(kinds % 3)
		kinds /= 3
	}
	return &observer{
		T:       t,
		machine: newMachine(cfg, children, func() float64 { return 0.5 }),
		now:     time.Unix(0, 0),
		alive:   make([]bool, len(children)),
		up:      make([]bool, len(children)),
	}
}

// play turns a byte into an event that can happen now.
func (o *observer) play(b byte) {
	m, i := &o.machine, int(b/8)%len(o.alive)
	switch b % 8 {
	case 0:
		if o.alive[i] && !o.up[i] {
			o.up[i] = true
			o.observe(m.started(o.now, i))
		}
	case 1:
		o.barren = b > 100
	case 2:
		if o.alive[i] {
			m.failed(o.now, i, errBoom)
		}
	case 3, 4:
		o.end(i)
	case 5:
		o.now = o.now.Add(time.Duration(b) * time.Millisecond)
		o.observe(m.settle(o.now))
	case 6:
		if at, ok := m.wakeAt(); ok && at.After(o.now) {
			o.now = at
		}
		o.observe(m.settle(o.now))
	case 7:
		if b > 200 {
			o.observe(m.stop(o.now))
		}
	}
}

func (o *observer) end(i int) {
	if o.alive[i] {
		o.alive[i], o.up[i] = false, false
		o.observe(o.machine.exited(o.now, i))
	}
}

// observe checks effects and carries them out, and those that follow from them.
func (o *observer) observe(effects []effect) {
	o.Helper()
	for len(effects) > 0 {
		e := effects[0]
		effects = effects[1:]
		if o.finished > 0 {
			o.Fatalf("effect %+v after the end", e)
		}
		i := e.child
		switch e.action {
		case doSpawn:
			if o.alive[i] {
				o.Fatalf("child %d is spawned while it lives", i)
			}
			if o.machine.closing {
				o.Fatalf("child %d is spawned during the stop", i)
			}
			o.checkTurn(i)
			if o.barren {
				o.barren = false
				effects = append(effects, o.machine.notSpawned(o.now, i, errBoom)...)
				continue
			}
			o.alive[i] = true
			effects = append(effects, o.machine.spawned(o.now, i, 5*time.Second)...)
		case doStop:
			if !o.alive[i] {
				o.Fatalf("child %d is stopped and does not live", i)
			}
			o.checkLast(i)
		case doAbandon:
			if !o.alive[i] {
				o.Fatalf("child %d is left behind and does not live", i)
			}
			o.alive[i], o.up[i] = false, false
		case doReport:
		case doFinish:
			o.finished++
			for i, alive := range o.alive {
				if alive {
					o.Fatalf("the supervisor ends before child %d", i)
				}
			}
		}
	}
}

// checkTurn checks that a child of a group starts after those before it.
func (o *observer) checkTurn(i int) {
	o.Helper()
	if o.machine.strategy == OneForOne {
		return
	}
	for j := range i {
		if !o.up[j] && o.machine.slots[j].state != Stopped {
			o.Fatalf("child %d is spawned before child %d is up", i, j)
		}
	}
}

// checkLast checks that a child is stopped after those behind it.
func (o *observer) checkLast(i int) {
	o.Helper()
	for j := i + 1; j < len(o.alive); j++ {
		if o.alive[j] {
			o.Fatalf("child %d is stopped before child %d has ended", i, j)
		}
	}
}

// shutDown checks that a stop comes to its end from any state.
func (o *observer) shutDown() {
	o.Helper()
	o.observe(o.machine.stop(o.now))
	for i := range slices.Backward(o.alive) {
		o.end(i)
	}
	if o.finished != 1 {
		o.Fatalf("the supervisor ended %d times, want once", o.finished)
	}
	if at, ok := o.machine.wakeAt(); ok {
		o.Fatalf("the alarm is set to %s after the end", at)
	}
}
