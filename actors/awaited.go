package actors

import (
	"sync"
	"time"

	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

const (
	// awaitedFor is how long another node is taken to wait for a run. It asks
	// again as often as it reads the run's row.
	awaitedFor = 3 * rereadEvery
	// maxAwaited bounds the runs that others are remembered to wait for.
	maxAwaited = 100_000
	// latelyKept is how many runs that ended here are remembered: a question and
	// the end that it asks for may pass each other.
	latelyKept = 4096
)

// awaited is what other nodes have asked of this one: to be told when runs end.
// All nodes are asked, since a run may change hands while somebody waits for
// it. It is safe for concurrent use.
type awaited struct {
	mu      sync.Mutex
	by      map[workflow.RunID]map[persistence.BootID]time.Time // until when
	cleared time.Time                                           // when the forgotten were last looked for

	lately map[workflow.RunID]bool
	ring   [latelyKept]workflow.RunID
	next   int
}

func newAwaited() *awaited {
	return &awaited{by: map[workflow.RunID]map[persistence.BootID]time.Time{}, lately: map[workflow.RunID]bool{}}
}

// ask remembers that a boot waits for a run, and reports whether the run has
// ended here just now.
func (a *awaited) ask(run workflow.RunID, boot persistence.BootID, now time.Time) (ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.cleared) >= awaitedFor {
		a.clear(now)
	}
	if a.by[run] == nil {
		if len(a.by) >= maxAwaited {
			return a.lately[run] // it reads the row every now and then
		}
		a.by[run] = map[persistence.BootID]time.Time{}
	}
	a.by[run][boot] = now.Add(awaitedFor) // also when it has ended: it may be retried
	return a.lately[run]
}

// clear forgets those that have not asked again.
func (a *awaited) clear(now time.Time) {
	a.cleared = now
	for run, boots := range a.by {
		for boot, until := range boots {
			if until.Before(now) {
				delete(boots, boot)
			}
		}
		if len(boots) == 0 {
			delete(a.by, run)
		}
	}
}

// end takes in that a run has ended here, and returns who waits for it.
func (a *awaited) end(run workflow.RunID) []persistence.BootID {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.lately, a.ring[a.next])
	a.ring[a.next] = run
	a.next = (a.next + 1) % latelyKept
	a.lately[run] = true
	var boots []persistence.BootID
	for boot := range a.by[run] {
		boots = append(boots, boot)
	}
	delete(a.by, run)
	return boots
}

// lookElsewhere sees to it that this node hears of the end of a run that is
// waited for here and may run, now or later, on another. Read the run's row
// after it.
func (n *Node) lookElsewhere(id workflow.RunID) {
	if n.shared == nil {
		return
	}
	if _, here := n.system.ProcessRegistry.GetLocal(runPID(id)); here {
		return
	}
	if !n.alone() {
		n.peers.TellAll(&messages.Hint{Event: &messages.Hint_RunAwaited{RunAwaited: &messages.RunAwaited{RunId: id.String()}}})
	}
	n.tellDispatcher(stirred{})
}
