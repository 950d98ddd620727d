package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"singularity/workflow"
)

// PendingRun implements [workflow.Engine].
func (n *Node) PendingRun(ctx context.Context, id workflow.RunID) (workflow.Pending, error) {
	if _, err := n.Run(ctx, id); err != nil {
		return nil, err
	}
	return &pendingRun{node: n, id: id, attached: true}, nil
}

// pendingRun implements [workflow.Pending].
type pendingRun struct {
	node     *Node
	id       workflow.RunID
	attached bool
	// ended holds how the run ended, from the actor that the start made, or is
	// closed when only the row can say so; nil if there was no such actor.
	ended chan workflow.Run
}

// ID implements [workflow.Pending].
func (p *pendingRun) ID() workflow.RunID { return p.id }

// Attached implements [workflow.Pending].
func (p *pendingRun) Attached() bool { return p.attached }

// Wait implements [workflow.Pending].
func (p *pendingRun) Wait(ctx context.Context) (workflow.Run, error) {
	watcher := p.node.watchers.subscribe(p.id, false)
	defer p.node.watchers.unsubscribe(watcher)
	ended, look := p.ended, p.ended == nil
	reread := time.NewTicker(rereadEvery)
	defer reread.Stop()
	for {
		if look {
			look = false
			p.node.lookElsewhere(p.id)
			run, err := p.node.Run(ctx, p.id)
			gone := errors.Is(err, workflow.ErrRunNotFound) && ended == nil
			if gone || err == nil && run.State.Terminal() {
				return run, err
			}
		}
		select {
		case run, told := <-ended:
			if told {
				ended <- run // for the next Wait
				return run, nil
			}
			ended, look = nil, true
		case run := <-watcher.ended:
			return run, nil
		case <-reread.C:
			look = true
		case <-ctx.Done():
			return workflow.Run{}, fmt.Errorf("wait for run %s: %w", p.id, context.Cause(ctx))
		case <-p.node.tree.Done():
			if run, told := lastWord(ended, watcher.ended); told {
				return run, nil
			}
			return workflow.Run{}, fmt.Errorf("wait for run %s: %w; the run goes on when the engine is opened again", p.id, workflow.ErrDraining)
		}
	}
}

// lastWord is how a run ended, if one of the channels says so by now.
func lastWord(ended chan workflow.Run, pushed <-chan workflow.Run) (workflow.Run, bool) {
	select {
	case run, told := <-ended:
		if told {
			ended <- run
			return run, true
		}
	default:
	}
	select {
	case run := <-pushed:
		return run, true
	default:
		return workflow.Run{}, false
	}
}
