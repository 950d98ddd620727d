package actors

import (
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// waitingRoom holds the ephemeral runs of a queue that wait for a slot. It
// outlives the dispatcher's restarts, since no row remembers them.
type waitingRoom struct{ launches []launch }

// queue is a queue's slots on this node.
type queue struct {
	name  string
	limit int
	used  int
	lost  int // slots of steps that ignore their cancelled context
	// more: the store may hold due runs that are not claimed yet. New runs line
	// up behind them.
	more     bool
	claiming bool
	missed   bool // more was said while a claim was under way, which may have been too early
	hasSolo  bool
	next     time.Time // the earliest that something becomes due, as far as known
	waiting  *waitingRoom
	settings persistence.QueueSettings

	held      bool        // the last limited claim met another one, and the next is due at againAt
	again     *time.Timer // of the next limited claim, at againAt; nil before the first
	againAt   time.Time   // zero while none is due
	soloAfter time.Time   // no run is made room for before that has to run alone
}

func (q *queue) free() int { return q.limit - q.used - q.lost }

// expect says that the store may hold due runs.
func (q *queue) expect() { q.more, q.missed = true, q.claiming }

// fill gives free slots to what waits: first in memory, then in the store.
func (d *dispatcher) fill(q *queue) {
	switch {
	case d.leaving != nil:
		return
	case d.closed():
		d.goSolo()
		return
	case q.paused():
		return
	}
	d.fillFromMemory(q)
	if q.more && !q.claiming && !q.held && q.free() > 0 && d.node.standing.good() {
		d.claim(q, min(q.free(), claimsAtOnce), false)
	}
}

func (d *dispatcher) fillAll() {
	for _, q := range d.queues {
		d.fill(q)
	}
}

func (d *dispatcher) fillFromMemory(q *queue) {
	for len(q.waiting.launches) > 0 && q.free() > 0 {
		next := q.waiting.launches[0]
		q.waiting.launches[0] = launch{}
		q.waiting.launches = q.waiting.launches[1:]
		d.run(q, next)
	}
}

// claim asks for runs and takes their slots beforehand.
func (d *dispatcher) claim(q *queue, limit int, solo bool) {
	q.claiming, q.missed = true, false
	q.used += limit
	claim := persistence.Claim{
		ID: workflow.NewRunID().String(), Boot: d.node.standing.boot().ID, Queue: q.name,
		Limit: limit, Known: d.node.catalog.known(), Solo: solo, Limited: q.limited(),
	}
	d.node.journal.Append(claim, func(verdict persistence.Verdict) {
		d.send(claimed{d.start, claim.Boot, q.name, limit, solo, verdict})
	})
}

func (d *dispatcher) claimed(m claimed) {
	q := d.queues[m.queue]
	current := m.start == d.start
	if current {
		q.claiming = false
		q.used -= m.limit
	}
	if m.verdict.Err != nil {
		// What the claim may have taken all the same, the sweep finds.
		d.log.Warn("claim failed; the next sweep repeats it", "queue", q.name, "error", m.verdict.Err)
		if m.solo && current {
			d.solo = soloClears
		}
		if !d.closed() && d.leaving == nil && !q.paused() {
			d.fillFromMemory(q)
		}
		d.lookSoon()
		return
	}
	activations := m.verdict.Activations
	for _, activation := range activations {
		program := d.node.catalog.version(activation.Run.Workflow, activation.Run.Version)
		d.run(q, launch{boot: m.boot, activation: activation, program: program})
	}
	switch {
	case !current:
	case m.solo && m.verdict.Held:
		d.solo = soloClears
		d.curbed(q, m.verdict)
	case m.solo && len(activations) == 0:
		q.hasSolo = false
		if q.limited() {
			q.soloAfter = time.Now().Add(soloAgain)
		}
		d.soloOver()
	case m.solo:
		d.solo, d.soloRun = soloRunning, activations[0].Run.ID
	case len(activations) < m.limit:
		q.more = q.missed
		d.curbed(q, m.verdict)
	}
	if len(activations) > 0 && !d.node.peers.Complete() {
		d.sweepEvery = d.cadence.least
	}
	d.fill(q)
}

func (d *dispatcher) released(m released) {
	q := d.queues[m.queue]
	switch {
	case q == nil && m.heard: // of nodes with other queues
	case q == nil:
		d.node.tellWaiting(m.queue)
	case m.delay > 0:
		d.wake(q, time.Now().Add(m.delay))
	default:
		q.expect()
		d.fill(q)
		if !m.heard {
			d.offer(q)
		}
	}
}

// offer lets other nodes have what waits in the store and finds no slot here.
func (d *dispatcher) offer(q *queue) {
	if q.more && !q.claiming && !q.held && !q.paused() {
		d.node.tellWaiting(q.name)
		d.sweepBusy()
	}
}

// runsReleased claims before it surveys: which queues the runs are in, claims
// find out at no more cost. There may be more of them than this node has slots.
func (d *dispatcher) runsReleased() {
	for _, q := range d.queues {
		q.expect()
		d.fill(q)
		if !q.paused() {
			d.node.tellWaiting(q.name)
		}
	}
	d.sweepOften() // some may have to run alone
}

// wake makes the dispatcher look at a queue at the given time.
func (d *dispatcher) wake(q *queue, at time.Time) {
	if at.IsZero() || !q.next.IsZero() && !at.Before(q.next) {
		return
	}
	q.next = at
	d.armDue()
}

func (d *dispatcher) armDue() {
	var first time.Time
	for _, q := range d.queues {
		if !q.next.IsZero() && (first.IsZero() || q.next.Before(first)) {
			first = q.next
		}
	}
	if d.due != nil {
		d.due.Stop()
	}
	if !first.IsZero() {
		d.due = d.later(time.Until(first), dueNow{})
	}
}

func (d *dispatcher) dueNow() {
	now := time.Now()
	for _, q := range d.queues {
		if !q.next.IsZero() && !q.next.After(now) {
			q.next = time.Time{}
			q.expect()
			d.fill(q)
			d.survey() // when is the next one due?
		}
	}
	d.armDue()
}
