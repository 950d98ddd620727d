package actors

import (
	"math/rand/v2"
	"time"

	"singularity/persistence"
)

const (
	// heldAgain is about how soon a limited claim is repeated that met another one.
	heldAgain = 4 * time.Millisecond
	// leastWait is how soon one is repeated that waits for a token.
	leastWait = 5 * time.Millisecond
	// soloAgain is how soon a run that has to run alone is tried again whose queue
	// had no room for it: the others leave memory for each try.
	soloAgain = 30 * time.Second
)

// limited reports whether runs of the queue are claimed one claim at a time, by
// its limits, and never begin at once.
func (q *queue) limited() bool { return q.settings.Limited() }

func (q *queue) paused() bool { return q.settings.PausedAt != nil }

// adjustQueues makes the queues follow their settings. A lower limit stops
// nobody.
func (d *dispatcher) adjustQueues() {
	for _, name := range d.node.queueNames() {
		q := d.queues[name]
		if q == nil {
			if d.rooms[name] == nil {
				d.rooms[name] = &waitingRoom{}
			}
			q = &queue{name: name, waiting: d.rooms[name]}
			d.queues[name] = q
		}
		q.limit, q.settings = d.node.slots(name), d.node.queues.of(name).QueueSettings
		q.expect()
	}
}

// queuesChanged takes up what may begin now.
func (d *dispatcher) queuesChanged() {
	d.adjustQueues()
	d.countLost()
	d.fillAll()
	d.survey() // a queue that was paused has not been looked at
}

// queueOf finds the queue of a run. It may be so new that nobody has told the
// dispatcher yet.
func (d *dispatcher) queueOf(name string) *queue {
	if d.queues[name] == nil {
		d.adjustQueues()
	}
	return d.queues[name]
}

// freed looks whether the end of a run lets another one of the queue begin: here
// or, if this node takes none now, elsewhere.
func (d *dispatcher) freed(q *queue) {
	if !q.limited() {
		d.fill(q)
		return
	}
	q.expect()
	d.fill(q)
	d.offer(q)
}

// curbed takes in a limited claim that brought less than it asked for.
func (d *dispatcher) curbed(q *queue, verdict persistence.Verdict) {
	switch {
	case verdict.Held:
		q.held = true // what ends meanwhile must not add to the crowd
		d.claimIn(q, heldAgain/2+rand.N(heldAgain))
	case verdict.Wait > 0:
		d.claimIn(q, max(verdict.Wait, leastWait))
	}
	if verdict.Left {
		d.node.tellWaiting(q.name) // others may know what this node does not
	}
}

// claimIn claims after a delay, unless that was to be sooner anyway.
func (d *dispatcher) claimIn(q *queue, delay time.Duration) {
	at := time.Now().Add(delay)
	if !q.againAt.IsZero() && !at.Before(q.againAt) {
		return
	}
	if q.again != nil {
		q.again.Stop()
	}
	q.againAt = at
	q.again = d.later(delay, claimAgain{q.name})
}

func (d *dispatcher) claimAgain(m claimAgain) {
	q := d.queues[m.queue]
	if q.againAt.After(time.Now()) {
		return // of a timer that was too late to be stopped
	}
	q.againAt, q.held = time.Time{}, false
	q.expect()
	d.fill(q)
	d.offer(q)
}
