package supervisor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// An alarm sends an actor a tick at a given time.
type alarm struct {
	ring  func()
	timer *time.Timer
}

// to makes the actor of ctx the one that is woken.
func (a *alarm) to(ctx actor.Context) {
	root, self := ctx.ActorSystem().Root, ctx.Self()
	a.ring = func() { root.Send(self, tick{}) }
}

// set moves the alarm to the given time, or turns it off if ok is false. A tick
// already on its way is not called back.
func (a *alarm) set(at time.Time, ok bool) {
	a.stop()
	if ok {
		a.timer = time.AfterFunc(time.Until(at), a.ring)
	}
}

// stop turns the alarm off.
func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
