package actors

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"singularity/workflow"
)

// watchers pushes what happens to runs to those who wait for them. It is safe
// for concurrent use and never blocks on a slow watcher.
type watchers struct {
	count atomic.Int64 // of all subscriptions, so that nobody watching costs nothing

	mu    sync.Mutex
	byRun map[workflow.RunID][]*watcher

	// The last ended ephemeral runs, which no row remembers.
	ended     map[workflow.RunID]workflow.Run
	endedRing [endedKept]workflow.RunID
	endedNext int
}

// endedKept is how many ended ephemeral runs can still be asked for.
const endedKept = 1024

// watcher is one subscription to one run.
type watcher struct {
	run    workflow.RunID
	ended  chan workflow.Run   // has room for the one value it ever gets
	events chan workflow.Event // nil for those who wait for the end only
}

// eventsKept is how many events a slow watcher may lag behind.
const eventsKept = 64

func newWatchers() *watchers {
	return &watchers{byRun: map[workflow.RunID][]*watcher{}, ended: map[workflow.RunID]workflow.Run{}}
}

// subscribe must be followed by unsubscribe. Read the run's row after it: an
// end before the subscription is not repeated.
func (w *watchers) subscribe(run workflow.RunID, withEvents bool) *watcher {
	one := &watcher{run: run, ended: make(chan workflow.Run, 1)}
	if withEvents {
		one.events = make(chan workflow.Event, eventsKept)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count.Add(1)
	w.byRun[run] = append(w.byRun[run], one)
	return one
}

func (w *watchers) unsubscribe(one *watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	others := w.byRun[one.run]
	for i, other := range others {
		if other != one {
			continue
		}
		w.count.Add(-1)
		if len(others) == 1 {
			delete(w.byRun, one.run)
		} else {
			others[i] = others[len(others)-1]
			others[len(others)-1] = nil
			w.byRun[one.run] = others[:len(others)-1]
		}
		return
	}
}

// watched reports whether anybody hears of the run's events now.
func (w *watchers) watched(run workflow.RunID) bool {
	if w.count.Load() == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.byRun[run] {
		if one.events != nil {
			return true
		}
	}
	return false
}

// waitedFor reports whether anybody waits for the run's end now.
func (w *watchers) waitedFor(run workflow.RunID) bool {
	if w.count.Load() == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byRun[run]) > 0
}

// waited lists the runs whose end somebody waits for.
func (w *watchers) waited() []workflow.RunID {
	if w.count.Load() == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.byRun))
}

// publish tells the run's watchers. Those that lag behind miss it.
func (w *watchers) publish(event workflow.Event) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.byRun[event.Run] {
		if one.events == nil {
			continue
		}
		select {
		case one.events <- event:
		default:
		}
	}
}

// end tells all who wait for the run how it ended.
func (w *watchers) end(run workflow.Run) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.byRun[run.ID] {
		select {
		case one.ended <- run:
		default: // it knows already
		}
	}
}

// endEphemeral also remembers the run for a while.
func (w *watchers) endEphemeral(run workflow.Run) {
	w.mu.Lock()
	delete(w.ended, w.endedRing[w.endedNext])
	w.endedRing[w.endedNext] = run.ID
	w.endedNext = (w.endedNext + 1) % endedKept
	w.ended[run.ID] = run
	w.mu.Unlock()
	w.end(run)
}

// endedEphemeral finds a run that ended not long ago.
func (w *watchers) endedEphemeral(id workflow.RunID) (workflow.Run, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	run, ok := w.ended[id]
	return run, ok
}
