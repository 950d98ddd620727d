package actors

import (
	"context"
	"sync"
	"time"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// hintEvery is how long a hint is held back that says the same as one before.
const hintEvery = 10 * time.Millisecond

// Hear takes in what another node lets this one know. It does not block. What
// it cannot make sense of, it leaves to the sweeps.
func (n *Node) Hear(from persistence.BootID, hint *messages.Hint) {
	if !n.started.Load() {
		return
	}
	switch event := hint.GetEvent().(type) {
	case *messages.Hint_RunsWait:
		n.tellDispatcher(released{queue: event.RunsWait.GetQueue(), heard: true})
	case *messages.Hint_RunAwaited:
		if id, err := workflow.ParseRunID(event.RunAwaited.GetRunId()); err == nil && n.awaited.ask(id, from, time.Now()) {
			n.peers.Tell(from, runEnded(id))
		}
	case *messages.Hint_RunEnded:
		if id, err := workflow.ParseRunID(event.RunEnded.GetRunId()); err == nil {
			n.recheck(id)
		}
	case *messages.Hint_RunCancelled:
		if id, err := workflow.ParseRunID(event.RunCancelled.GetRunId()); err == nil {
			n.confirmCancelled(id)
		}
	case *messages.Hint_InboxChanged:
		n.agents.wake(event.InboxChanged.GetAgent())
	case *messages.Hint_AgentMoved:
		n.agents.moved(event.AgentMoved.GetAgent(), event.AgentMoved.GetEpoch())
	case *messages.Hint_BootEnded:
		n.tellDispatcher(lookNow{})
		n.results.orphan()
		n.tellBatches(batchesStirred{}) // it may have ended the last run of one, and not looked
		n.lookForOverdue()
	}
}

func runEnded(id workflow.RunID) *messages.Hint {
	return &messages.Hint{Event: &messages.Hint_RunEnded{RunEnded: &messages.RunEnded{RunId: id.String()}}}
}

// tellWaiting lets the others know that runs wait in a queue for a slot that
// this node does not have.
func (n *Node) tellWaiting(queue string) {
	if n.alone() {
		return
	}
	n.spacing.pass("queue/"+queue, func() {
		n.peers.TellAll(&messages.Hint{Event: &messages.Hint_RunsWait{RunsWait: &messages.RunsWait{Queue: queue}}})
	})
}

// tellEnded lets those nodes know that a run has ended here that wait for it.
func (n *Node) tellEnded(id workflow.RunID) {
	if n.alone() {
		return
	}
	for _, boot := range n.awaited.end(id) {
		n.peers.Tell(boot, runEnded(id))
	}
}

// tellCancelledElsewhere lets whoever has a run know that it is cancelled.
func (n *Node) tellCancelledElsewhere(id workflow.RunID) {
	if n.alone() {
		return
	}
	n.peers.TellAll(&messages.Hint{Event: &messages.Hint_RunCancelled{RunCancelled: &messages.RunCancelled{RunId: id.String()}}})
}

// confirmCancelled stops a run that has its actor here, and tells who waits for
// it, if its row says that it is cancelled.
func (n *Node) confirmCancelled(id workflow.RunID) {
	if _, here := n.system.ProcessRegistry.GetLocal(runPID(id)); !here && !n.watchers.waitedFor(id) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(n.stepContext, rereadEvery)
		defer cancel()
		if run, err := n.store.Run(ctx, id); err == nil && run.State == workflow.Cancelled {
			n.watchers.end(run)
			n.tellCancelled(id, run.Epoch)
		}
	}()
}

// runCancelled hears from the store that a run is cancelled which runs somewhere.
func (n *Node) runCancelled(id workflow.RunID) {
	if n.started.Load() {
		n.confirmCancelled(id)
	}
}

// confirmRuns stops those runs that were cancelled while the store could not say so.
func (n *Node) confirmRuns(ctx context.Context) {
	here := n.runsInMemory()
	if len(here) == 0 {
		return
	}
	ended, err := n.shared.Ended(ctx, here)
	if err != nil {
		n.log.Warn("runs that were cancelled may go on to their next checkpoint", "error", err)
	}
	for _, id := range ended {
		n.confirmCancelled(id)
	}
}

func (n *Node) tellInbox(agent string) {
	if n.alone() {
		return
	}
	n.spacing.pass(agentPID(agent), func() {
		n.peers.TellAll(&messages.Hint{Event: &messages.Hint_InboxChanged{InboxChanged: &messages.InboxChanged{Agent: agent}}})
	})
}

func (n *Node) tellMoved(agent string, epoch int64) {
	if n.alone() {
		return
	}
	n.peers.TellAll(&messages.Hint{Event: &messages.Hint_AgentMoved{
		AgentMoved: &messages.AgentMoved{Agent: agent, Epoch: epoch},
	}})
}

func (n *Node) tellBootEnded(boot persistence.BootID) {
	if n.alone() {
		return
	}
	n.peers.TellAll(&messages.Hint{Event: &messages.Hint_BootEnded{BootEnded: &messages.BootEnded{Boot: string(boot)}}})
}

// spacing lets the first of equal hints pass at once, and of those that follow
// within hintEvery one at its end. It is safe for concurrent use.
type spacing struct {
	mu    sync.Mutex
	again map[string]bool // by what passed just now: more came since
}

func newSpacing() *spacing { return &spacing{again: map[string]bool{}} }

func (s *spacing) pass(what string, tell func()) {
	s.mu.Lock()
	_, held := s.again[what]
	s.again[what] = held
	s.mu.Unlock()
	if held {
		return
	}
	tell()
	time.AfterFunc(hintEvery, func() {
		s.mu.Lock()
		again := s.again[what]
		delete(s.again, what)
		s.mu.Unlock()
		if again {
			s.pass(what, tell)
		}
	})
}
