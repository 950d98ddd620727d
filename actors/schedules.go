package actors

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

const (
	// schedulesEvery is how often the schedules are read if nobody says that they
	// have changed. Where there are none they are not read again.
	schedulesEvery = time.Minute
	// schedulesAgain is how soon they are read again after an error.
	schedulesAgain = time.Second
	// schedulesBusy is how soon they are read again when another node is at one.
	schedulesBusy = 50 * time.Millisecond
)

// schedules fires the slots of schedules. Every node waits for every slot of the
// workflows that it knows; which of them fires it, the store decides, and the
// next slot is part of the same transaction. How long to wait is measured on the
// clock of the store.
type schedules struct {
	node *Node
	root *actor.RootContext
	self *actor.PID

	slots   map[string]slot
	known   int       // schedules, of other nodes' workflows too
	learned time.Time // when they were read last
	failing bool      // the last work did
	working bool
	again   bool // something has changed since the work under way began
	next    *time.Timer

	running context.Context //nolint:containedctx // of the work beside the actor
	stop    context.CancelFunc
	task    sync.WaitGroup
}

// slot is the next one of a schedule.
type slot struct {
	schedule workflow.Schedule
	due      time.Time // on this node's monotonic clock
}

// Messages to schedules; the last two are the results of its work.
type (
	// schedulesChanged asks to read them again.
	schedulesChanged struct{}
	slotsDue         struct{}
	schedulesRead    struct {
		list []workflow.Schedule
		now  time.Time // on the clock of the store
		err  error
	}
	slotsFired struct {
		views []persistence.ScheduleView
		busy  bool // another node is at one of them, or it has gone
		err   error
	}
)

func newSchedulesProps(node *Node) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor {
		return &schedules{node: node, slots: map[string]slot{}}
	})
}

// Receive implements [actor.Actor].
func (s *schedules) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		s.root, s.self = ctx.ActorSystem().Root, ctx.Self()
		s.running, s.stop = context.WithCancel(context.Background())
		s.read()
	case *actor.Stopping:
		if s.next != nil {
			s.next.Stop()
		}
		s.stop()
		s.task.Wait()
	case schedulesChanged:
		s.read()
	case slotsDue:
		s.fireDue()
	case schedulesRead:
		s.learn(message)
	case slotsFired:
		s.fired(message)
	}
}

// work does something beside the actor and sends it the result. It is one thing
// at a time.
func (s *schedules) work(do func(ctx context.Context) any) {
	s.working = true
	ctx, root, self := s.running, s.root, s.self
	s.task.Go(func() { root.Send(self, do(ctx)) })
}

// done reports whether the result of the work is to be looked at: when something
// has changed meanwhile, it is read again instead.
func (s *schedules) done() bool {
	s.working = false
	if s.again {
		s.again = false
		s.read()
		return false
	}
	return true
}

func (s *schedules) lookIn(delay time.Duration) {
	if s.next != nil {
		s.next.Stop()
	}
	root, self := s.root, s.self
	s.next = time.AfterFunc(delay, func() { root.Send(self, slotsDue{}) })
}

func (s *schedules) read() {
	if s.working {
		s.again = true
		return
	}
	store := s.node.store
	s.work(func(ctx context.Context) any {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		list, now, err := store.Schedules(ctx)
		return schedulesRead{list, now, err}
	})
}

func (s *schedules) learn(m schedulesRead) {
	switch {
	case !s.done():
		return
	case s.failed(m.err):
		return
	}
	clear(s.slots)
	s.known, s.learned = len(m.list), time.Now()
	for _, schedule := range m.list {
		s.await(schedule, m.now)
	}
	s.arm()
}

// await waits for the next slot of a schedule, if it has one and this node can
// start its runs.
func (s *schedules) await(schedule workflow.Schedule, now time.Time) {
	delete(s.slots, schedule.Name)
	_, err := s.node.catalog.find(schedule.Workflow)
	if schedule.NextSlot == nil || err != nil || s.node.slots(schedule.Queue) == 0 {
		return
	}
	s.slots[schedule.Name] = slot{schedule, time.Now().Add(schedule.NextSlot.Sub(now))}
}

// arm sets the timer for the next slot of all, or for the next reading.
func (s *schedules) arm() {
	if s.known == 0 {
		return
	}
	delay := schedulesEvery - time.Since(s.learned)
	for _, slot := range s.slots {
		delay = min(delay, time.Until(slot.due))
	}
	s.lookIn(delay)
}

// fireDue fires the slots that are due. The order is another one on each node,
// so that they share the work.
func (s *schedules) fireDue() {
	var due []workflow.Schedule
	for _, slot := range s.slots {
		if time.Until(slot.due) <= 0 {
			due = append(due, slot.schedule)
		}
	}
	switch {
	case s.node.draining.Load() || s.working:
		return
	case len(due) == 0:
		s.read()
		return
	}
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	node := s.node
	s.work(func(ctx context.Context) any { return node.fireSchedules(ctx, due) })
}

func (s *schedules) fired(m slotsFired) {
	if !s.done() || s.failed(m.err) {
		return
	}
	for _, view := range m.views {
		s.await(*view.Schedule, view.Now)
	}
	if m.busy {
		s.readIn(schedulesBusy)
		return
	}
	s.arm()
}

// failed sees to it that the schedules are read again after an error, and
// reports whether there was one.
func (s *schedules) failed(err error) bool {
	if err != nil && !s.failing {
		s.node.log.Warn("schedules are not fired; it is tried again", "error", err)
	}
	if err == nil && s.failing {
		s.node.log.Info("schedules are fired again")
	}
	if s.failing = err != nil; s.failing {
		s.readIn(schedulesAgain)
	}
	return s.failing
}

// readIn makes the next look one at all schedules.
func (s *schedules) readIn(delay time.Duration) {
	clear(s.slots)
	s.lookIn(delay)
}

// fireSchedules fires what is due of some schedules, one after the other. What
// goes wrong with one does not keep the others.
func (n *Node) fireSchedules(ctx context.Context, due []workflow.Schedule) (result slotsFired) {
	for _, schedule := range due {
		view, done, err := n.fireSchedule(ctx, schedule)
		switch {
		case err != nil:
			result.err = err
		case !done:
			result.busy = true
		default:
			result.views = append(result.views, view)
		}
	}
	return result
}

func (n *Node) fireSchedule(ctx context.Context, schedule workflow.Schedule) (persistence.ScheduleView, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ready, err := n.ready(schedule)
	if err != nil {
		return persistence.ScheduleView{}, false, err
	}
	started := 0
	view, done, err := n.store.FireSchedule(ctx, schedule.Name, func(view persistence.ScheduleView) (persistence.ScheduleDecision, error) {
		decision := ready.fire(view)
		started = len(decision.Runs)
		return decision, nil
	})
	if err == nil && started > 0 {
		n.tellDispatcher(released{queue: schedule.Queue})
	}
	return view, done, err
}
