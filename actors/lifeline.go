package actors

import (
	"context"
	"errors"
	"sync/atomic"
)

// lifeline follows an actor through its restarts, so that who asks it
// something learns when the question is lost. It is safe for concurrent use;
// only the actor calls begin.
type lifeline struct{ present atomic.Pointer[actorLife] }

// actorLife is one start of an actor, from the wait for it to its end.
type actorLife struct {
	line  *lifeline
	begun chan struct{}
	ended chan struct{}
}

func newLifeline() *lifeline {
	l := &lifeline{}
	l.expect()
	return l
}

func (l *lifeline) expect() {
	l.present.Store(&actorLife{line: l, begun: make(chan struct{}), ended: make(chan struct{})})
}

// begin says that the actor is there.
func (l *lifeline) begin() *actorLife {
	life := l.present.Load()
	close(life.begun)
	return life
}

// end says that it is gone, and with it what it was asked and has not answered.
func (a *actorLife) end() {
	a.line.expect()
	close(a.ended)
}

// reach waits until the actor is there and returns a channel that is closed
// when it is gone. It gives up when ctx or the tree ends.
func (l *lifeline) reach(ctx context.Context, tree <-chan struct{}) (gone <-chan struct{}, err error) {
	life := l.present.Load()
	select {
	case <-life.begun:
		return life.ended, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-tree:
		return nil, errNodeStopped
	}
}

var errNodeStopped = errors.New("the node has stopped")
