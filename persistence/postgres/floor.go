package postgres

import (
	"slices"
	"sync"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// floors keep claims from walking over what earlier claims have taken, whose
// entries stay in the index until a vacuum: for minutes, if a long transaction
// keeps it from them. A claim that was full has taken all that comes before its
// last run, so the next one begins there. Every second one begins at the
// bottom, for what other nodes have put below.
type floors struct {
	mu    sync.Mutex
	lanes map[lane]floor
}

// lane is what a claim chooses from.
type lane struct {
	queue string
	solo  bool
}

type floor struct {
	sortKey time.Time // the zero time: the bottom
	swept   time.Time // when a claim last began at the bottom
}

// sweepEvery is how often a claim begins at the bottom.
const sweepEvery = time.Second

// next is where a claim begins.
func (f *floors) next(of lane) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	current := f.lanes[of]
	if time.Since(current.swept) < sweepEvery {
		return current.sortKey
	}
	if f.lanes == nil {
		f.lanes = map[lane]floor{}
	}
	f.lanes[of] = floor{swept: time.Now()}
	return time.Time{}
}

// raise says what a claim of up to limit runs has taken.
func (f *floors) raise(of lane, taken []persistence.Activation, limit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	current, known := f.lanes[of]
	if !known {
		return
	}
	current.sortKey = time.Time{}
	if full := len(taken) > 0 && len(taken) == limit; full {
		last := taken[len(taken)-1].Run
		current.sortKey = earlier(sortKey(last.DueAt, last.Priority), time.Now().Add(-clockSkew))
	}
	f.lanes[of] = current
}

// clockSkew is by how much the clocks of nodes and database may differ: no
// floor is above the place of a run that is due now, or becomes due.
const clockSkew = 2 * time.Second

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// lower says that a run comes into a queue, at a place of the caller's choice.
func (f *floors) lower(queue string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, of := range []lane{{queue, false}, {queue, true}} {
		if current, known := f.lanes[of]; known && at.Before(current.sortKey) {
			current.sortKey = at
			f.lanes[of] = current
		}
	}
}

// forget says that runs come back to their old places.
func (f *floors) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.lanes)
}

// sortKey is the place of a run in its queue.
func sortKey(due time.Time, priority int) time.Time {
	return due.Add(time.Duration(priority) * time.Minute)
}

// moveFloors says what a batch has taken from queues and put into them.
func (s *Store) moveFloors(c *commit) {
	for _, w := range c.claims {
		s.floors.raise(lane{w.write.Queue, w.write.Solo}, c.verdicts[w.place].Activations, w.write.Limit)
	}
	for _, w := range c.inserts {
		if due := w.write.Due; !due.IsZero() {
			s.floors.lower(w.write.Queue, sortKey(due, w.write.Priority))
		}
	}
	handedOver := func(w placed[persistence.Advance]) bool { return w.write.State == workflow.Available }
	if slices.ContainsFunc(c.advances, handedOver) {
		s.floors.forget()
	}
}
