package actors

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

// launch is all that a run's actor begins with.
type launch struct {
	mark       int64              // of this launch, among all of the node
	boot       persistence.BootID // that owns the run
	activation persistence.Activation
	program    *workflow.Program
	first      any  // the state made from the input just now; nil to make it again
	unstored   bool // the insert is on its way: the run begins when it is stored
	life       *runLife
}

// newRunProps returns what the supervisor needs to start the run's actor, and
// to start it again.
func newRunProps(node *Node, l launch) func(start int) *actor.Props {
	activation := l.activation
	return func(start int) *actor.Props {
		var options []actor.PropsOption
		if l.program.Durability != workflow.Ephemeral {
			options = append(options, actor.WithDispatcher(&runDispatcher{}))
		}
		return actor.PropsFromProducer(func() actor.Actor {
			return &runActor{
				node:       node,
				queue:      activation.Run.Queue,
				solo:       activation.Run.Crashes >= persistence.MaxCrashes-1,
				restarted:  start > 0,
				unstored:   l.unstored && start == 0,
				launched:   l.mark,
				boot:       l.boot,
				mark:       node.marks.Add(1),
				life:       l.life,
				activation: activation,
				program:    l.program,
				current:    l.first,
			}
		}, options...)
	}
}

// runDispatcher makes the actor of a stored run receive on the goroutine that
// sends to it, unless another one is at it already. Between two commits of a
// run alone in the process that saves half of the changes of goroutine, each of
// which may have to wake a processor, and its [worker] the other half. Receive
// never waits and its senders are made for it; only the start, which may have to
// decode a large state, gets a goroutine of its own. The mailbox sees to it that
// Schedule is not called concurrently.
type runDispatcher struct{ started bool }

// Schedule implements [actor.Dispatcher].
func (d *runDispatcher) Schedule(receive func()) {
	if d.started {
		receive()
		return
	}
	d.started = true
	go receive()
}

// Throughput implements [actor.Dispatcher].
func (d *runDispatcher) Throughput() int { return 300 }

// runLife outlives the actor's restarts. It is safe for concurrent use.
type runLife struct {
	mu    sync.Mutex
	task  *task               // the last one, of whichever start
	ended chan<- workflow.Run // has room for how the run ends; nil when nobody asked, or was told
}

func (l *runLife) begin(t *task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.task = t
}

// interrupt cancels the attempt that an earlier start may have under way, and
// returns it.
func (l *runLife) interrupt() *task {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.task != nil {
		l.task.drop()
	}
	return l.task
}

// over tells who started the run how it ended for good, or, by nil, that its
// row says how it stands.
func (l *runLife) over(run *workflow.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended == nil:
	case run != nil:
		l.ended <- *run
	default:
		close(l.ended)
	}
	l.ended = nil
}
