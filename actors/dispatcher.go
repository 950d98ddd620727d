package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/supervisor"
	"singularity/workflow"
)

const (
	// maxWaiting is how many ephemeral runs may wait in memory for a slot of
	// one queue.
	maxWaiting = 10_000
	// claimsAtOnce bounds one claim.
	claimsAtOnce = 256
	// minSweep is how long the dispatcher waits for a message that may still be on
	// its way before it asks the store.
	minSweep = time.Second
	// musterPatience is how long a restarted dispatcher waits for the answers of
	// the runs in memory. An actor answers at once unless it is on its way out.
	musterPatience = time.Second
	// The tries to start an actor whose predecessor is on its way out.
	firstRespawn = 10 * time.Millisecond
	lastRespawn  = time.Second
)

// dispatcher gives runs their slots. A start that finds a free slot runs at
// once; what waits in the store is claimed in batches when slots come free. It
// is answerable for every run that its boot owns: those without an actor are
// activated again.
type dispatcher struct {
	node     *Node
	log      *slog.Logger
	self     *actor.PID
	start    int // of the dispatcher, from 0; marks what is late
	life     *actorLife
	queues   map[string]*queue
	rooms    map[string]*waitingRoom // of the queues, over all starts
	live     map[workflow.RunID]*liveRun
	muster   map[workflow.RunID]bool      // of an earlier start, and not counted yet
	orphans  map[workflow.RunID]time.Time // owned and without an actor, since
	adopting map[workflow.RunID]bool

	solo       soloState
	soloRun    workflow.RunID
	leaving    event // what runs are told that start now, while the node drains
	emptied    []chan<- struct{}
	informed   bool // by a survey of this start
	surveying  bool
	outdated   bool // the survey under way: something has changed since it began
	cadence    cadence
	sweeps     int
	recount    bool // the next sweep reads which runs the boot owns
	sweepEvery time.Duration
	sweep      *time.Timer
	due        *time.Timer
	look       *time.Timer // nil when no early sweep is due

	lookedAround time.Time // when the agents were last looked after
}

// liveRun is a run that has a slot.
type liveRun struct {
	launch
	queue     *queue
	before    int           // slots of earlier actors of the run that are on their way out
	started   bool          // its actor is there
	stored    bool          // said before that
	cancelled *rowCancelled // said before that
	respawn   time.Duration // until the next try to start it
}

// newDispatcherProps returns what the supervisor needs to start the dispatcher,
// and to start it again.
func newDispatcherProps(node *Node) func(start int) *actor.Props {
	rooms := map[string]*waitingRoom{}
	return func(start int) *actor.Props {
		return actor.PropsFromProducer(func() actor.Actor {
			d := &dispatcher{
				node:     node,
				log:      node.log,
				start:    start,
				queues:   map[string]*queue{},
				rooms:    rooms,
				live:     map[workflow.RunID]*liveRun{},
				muster:   map[workflow.RunID]bool{},
				orphans:  map[workflow.RunID]time.Time{},
				adopting: map[workflow.RunID]bool{},
				cadence:  aloneCadence,
			}
			if node.shared != nil {
				d.cadence = sharedCadence
			}
			d.adjustQueues()
			return d
		})
	}
}

// Receive implements [actor.Actor].
func (d *dispatcher) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		d.self = ctx.Self()
		d.started()
	case *actor.Stopping:
		d.stopping()
	case admit:
		d.admit(message)
	case inserted:
		d.inserted(message)
	case claimed:
		d.claimed(message)
	case adopted:
		d.adopted(message)
	case released:
		d.released(message)
	case runLeft:
		d.runLeft(message)
	case spawnAgain:
		if id := message.run.activation.Run.ID; d.live[id] == message.run {
			d.spawn(id, message.run)
		}
	case cancelRun:
		d.cancelRun(message)
	case runAlive:
		d.runAlive(message)
	case musterOver:
		if message.start == d.start {
			clear(d.muster)
			d.fillAll()
		}
	case gaveUp:
		d.gaveUp(message)
	case soloPassed:
		if message.id == d.soloRun {
			d.soloOver()
		}
	case slotLost:
		d.slotLost(message)
	case slotBack:
		q := d.queues[message.queue]
		q.lost = max(q.lost-1, 0)
		d.countLost()
		d.fill(q)
	case dueNow:
		d.dueNow()
	case sweepNow:
		d.sweepAgain()
	case surveyed:
		d.takeStock(message)
	case lookNow:
		d.lookedAround = time.Time{}
		d.survey()
	case lookAgain:
		d.look, d.recount, d.lookedAround = nil, true, time.Time{}
		d.survey()
	case findRun:
		message.reply <- d.find(message.id)
	case drainAll:
		d.drainAll(message)
	case queuesChanged:
		d.queuesChanged()
	case claimAgain:
		d.claimAgain(message)
	case roomMade:
		if q := d.queues[message.queue]; q != nil {
			d.freed(q)
		}
	case resumed:
		d.fillAll()
		d.lookSoon()
	case stirred:
		if !d.node.peers.Complete() {
			d.sweepOften()
		}
	case peersChanged:
		d.lookedAround = time.Time{}
		d.sweepOften()
	case runsReleased:
		d.runsReleased()
	case bootEnded:
		d.disown()
	case supervisor.ChildStarted:
		d.childStarted(message)
	}
	if d.leaving != nil {
		d.tellEmpty()
	}
}

// started takes up the work: it also comes after a crash of the dispatcher,
// when runs are in memory that it has to learn of. Until they have answered
// nothing is started beside them.
func (d *dispatcher) started() {
	if d.node.draining.Load() {
		d.leaving = drained{}
	}
	if d.start > 0 {
		for _, id := range d.node.runsInMemory() {
			d.muster[id] = true
			d.tellRun(id, rollCall{})
		}
		d.later(musterPatience, musterOver{d.start})
	}
	d.countLost()
	d.sweepEvery = d.cadence.least
	d.sweepAgain()
	d.life = d.node.dispatcherLife.begin()
}

func (d *dispatcher) stopping() {
	timers := []*time.Timer{d.due, d.sweep, d.look}
	for _, q := range d.queues {
		timers = append(timers, q.again)
	}
	for _, timer := range timers {
		if timer != nil {
			timer.Stop()
		}
	}
	if d.life != nil {
		d.life.end()
	}
}

func (d *dispatcher) send(message any) { d.node.system.Root.Send(d.self, message) }

func (d *dispatcher) later(delay time.Duration, message any) *time.Timer {
	return time.AfterFunc(delay, func() { d.send(message) })
}

// closed reports whether no run may start now beside those that are live.
func (d *dispatcher) closed() bool { return d.solo != noSolo || len(d.muster) > 0 }

// absent reports whether nobody here runs the run, or may be about to.
func (d *dispatcher) absent(id workflow.RunID) bool {
	return d.live[id] == nil && !d.adopting[id] && !d.muster[id]
}

// run takes a slot for a run and starts its actor. An earlier actor of the same
// run may still be on its way out, as when the run was cancelled and retried
// while a step did not return.
func (d *dispatcher) run(q *queue, l launch) *liveRun {
	id := l.activation.Run.ID
	l.mark = d.node.marks.Add(1)
	if l.life == nil {
		l.life = &runLife{}
	}
	live := &liveRun{launch: l, queue: q, respawn: firstRespawn}
	if earlier := d.live[id]; earlier != nil {
		live.before = earlier.before + 1
	}
	q.used++
	d.live[id] = live
	d.node.load.Store(int64(len(d.live)))
	d.spawn(id, live)
	return live
}

func (d *dispatcher) spawn(id workflow.RunID, live *liveRun) {
	child := supervisor.Child{
		Name:    id.String(),
		PID:     runPID(id),
		Props:   newRunProps(d.node, live.launch),
		Restart: supervisor.Transient,
	}
	d.node.system.Root.RequestWithCustomSender(d.node.runs, supervisor.StartChild{Child: child}, d.self)
}

func (d *dispatcher) childStarted(m supervisor.ChildStarted) {
	id, err := workflow.ParseRunID(m.Name)
	if err != nil {
		panic(err) // the name was made by spawn
	}
	live := d.live[id]
	switch {
	case live == nil || errors.Is(m.Err, supervisor.ErrStopping):
	case errors.Is(m.Err, supervisor.ErrChildExists):
		d.later(live.respawn, spawnAgain{live})
		live.respawn = min(2*live.respawn, lastRespawn)
	case m.Err != nil:
		d.log.Error("a run's actor was not started; the sweep tries again", "run", id, "error", m.Err)
		d.forget(id, live)
		d.lookSoon()
		d.fill(live.queue)
	default:
		d.actorStarted(m.PID, live)
	}
}

// actorStarted tells a new actor what was said before it could hear.
func (d *dispatcher) actorStarted(pid *actor.PID, live *liveRun) {
	live.started = true
	root := d.node.system.Root
	if live.stored {
		root.Send(pid, stored{live.mark, true})
	}
	switch {
	case live.cancelled != nil:
		root.Send(pid, *live.cancelled)
	case d.leaving != nil:
		root.Send(pid, d.leaving)
	case d.solo == soloClears:
		root.Send(pid, drained{})
	}
}

// forget gives a run's slot back.
func (d *dispatcher) forget(id workflow.RunID, live *liveRun) {
	delete(d.live, id)
	d.node.load.Store(int64(len(d.live)))
	live.queue.used -= 1 + live.before
}

func (d *dispatcher) tellRun(id workflow.RunID, message any) {
	d.node.system.Root.Send(d.node.pid(runPID(id)), message)
}

// cancelRun ends an ephemeral run that waits for a slot, and sees to it that an
// actor hears of the cancellation that was not there when it happened.
func (d *dispatcher) cancelRun(m cancelRun) {
	if live := d.live[m.id]; live != nil && !live.started {
		live.cancelled = &m.rowCancelled
	}
	for _, q := range d.queues {
		for i, l := range q.waiting.launches {
			if l.activation.Run.ID == m.id {
				q.waiting.launches = slices.Delete(q.waiting.launches, i, i+1)
				d.endWaiting(l, workflow.Cancelled, errCancelled)
				return
			}
		}
	}
}

// endWaiting ends an ephemeral run that has not begun.
func (d *dispatcher) endWaiting(l launch, state workflow.State, err error) {
	run, now := l.activation.Run, time.Now()
	run.State, run.Error, run.FinishedAt = state, err.Error(), &now
	d.node.watchers.endEphemeral(run)
	l.life.over(&run)
}

func (d *dispatcher) runLeft(m runLeft) {
	delete(d.muster, m.id)
	live := d.live[m.id]
	switch {
	case live == nil: // of an earlier start of the dispatcher; there may be nobody left to answer
		if q := d.queues[m.queue]; q != nil {
			d.freed(q)
		}
		d.fillAll()
		return
	case m.mark != live.mark: // it made way for the one that is live now
		if live.before > 0 {
			live.before--
			live.queue.used--
		}
		d.freed(live.queue)
		return
	}
	d.forget(m.id, live)
	if m.id == d.soloRun {
		d.soloOver()
	}
	q := live.queue
	switch m.state {
	case workflow.Running:
		d.runLost(m)
	case workflow.Available:
		q.expect()
	case workflow.Retryable:
		d.wake(q, time.Now().Add(m.delay))
	}
	d.freed(q)
	if m.state == workflow.Available {
		d.offer(q)
	}
}

func (d *dispatcher) slotLost(m slotLost) {
	d.queues[m.queue].lost++
	if lost, slots := d.countLost(); 4*lost > slots {
		d.node.fail(fmt.Errorf("%d of %d slots are lost to steps that ignore their cancelled context", lost, slots))
	}
}

func (d *dispatcher) countLost() (lost, slots int) {
	for _, q := range d.queues {
		lost += q.lost
		slots += q.limit
	}
	d.node.lostSlots.Store(int64(lost))
	return lost, slots
}

// busy reports whether a run is in memory, or may be soon.
func (d *dispatcher) busy() bool {
	for _, q := range d.queues {
		if q.used > 0 {
			return true
		}
	}
	return len(d.adopting) > 0 || len(d.muster) > 0 || len(d.orphans) > 0
}

// disown tells all runs that they are others'. Ephemeral ones are nobody's and
// go on.
func (d *dispatcher) disown() {
	for id := range d.live {
		d.tellRun(id, disowned{})
	}
	clear(d.orphans)
}

func (d *dispatcher) drainAll(m drainAll) {
	d.leaving = drained{}
	if m.now {
		d.leaving = evicted{}
	}
	for id := range d.live {
		d.tellRun(id, d.leaving)
	}
	for _, q := range d.queues {
		for _, l := range q.waiting.launches {
			d.endWaiting(l, workflow.Failed, errEvicted)
		}
		q.waiting.launches = nil
	}
	d.emptied = append(d.emptied, m.empty)
}

// tellEmpty answers those who wait for the last run to leave memory.
func (d *dispatcher) tellEmpty() {
	if d.busy() || !d.informed {
		return
	}
	for _, empty := range d.emptied {
		close(empty)
	}
	d.emptied = nil
}
