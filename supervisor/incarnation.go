package supervisor

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// An incarnation is one life of a child, from a spawn to its end. It stands
// between the child's mailbox and its actor, where it learns that the actor is up,
// gives panics their stack, and sees to it that a stop is carried through. Before
// the mailbox it makes those wait who found the name of an actor that is only just
// being spawned: protoactor registers the name first, and a message that came then
// would crash its sender, or overtake *actor.Started.
//
// A receive middleware on every child would do the same, and cost each message an
// envelope and each idle actor about 180 bytes.
type incarnation struct {
	actor.Mailbox
	actor.MessageInvoker // the actor's context

	props    *actor.Props
	announce bool // tell the parent when the actor is up
	stopping bool
	wired    atomic.Bool // the mailbox takes system messages, of which Started is the first
	open     atomic.Bool // and all others
}

// A branch is an actor that supervises others. Its methods are safe for concurrent
// use once the actor is spawned.
type branch interface {
	actor.Actor
	// reportTo sets the function that the branch calls when it is up. It is called
	// once, before the first message.
	reportTo(up func())
	// kind is what Node.Kind says.
	kind() string
	// child returns the running child of that name, or nil.
	child(name string) *incarnation
}

// started tells a supervisor that a child is up.
type started struct{ who *actor.PID }

var unbounded = actor.Unbounded()

// spawn starts the next incarnation of c below the actor of ctx. It reports
// panics of Props and of the actor's producer as errors.
func spawn(ctx actor.Context, c *Child, start int, announce bool) (inc *incarnation, err error) {
	inc = &incarnation{announce: announce}
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Message: "spawn", Stack: debug.Stack()}
		}
	}()
	props := c.Props(start)
	if props == nil {
		return nil, errors.New("Props returned nil")
	}
	// A copy, because the caller may hand out the same props twice.
	inc.props = props.Clone(actor.WithMailbox(inc.mailbox))

	// The default spawner makes ctx's actor the parent, which hears of failures and
	// of the end, but does not enter the child in its set of children: protoactor
	// would let no actor end before its set is empty, however long a child blocks.
	id := c.id(ctx.Self().Id)
	if _, err = actor.DefaultSpawner(ctx.ActorSystem(), id, inc.props, ctx); errors.Is(err, actor.ErrNameExists) {
		id += "~" + strconv.Itoa(start+1)
		_, err = actor.DefaultSpawner(ctx.ActorSystem(), id, inc.props, ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("spawn %s: %w", id, err)
	}
	return inc, nil
}

func (inc *incarnation) mailbox() actor.Mailbox {
	inc.Mailbox = unbounded()
	return inc
}

// context returns the context of the actor. Of its methods only those that return
// what never changes are safe for others than the actor.
func (inc *incarnation) context() actor.Context {
	return inc.MessageInvoker.(actor.Context)
}

// pid returns the pid of the actor. The pointer is the same in every lifecycle
// message about this incarnation, and another one for each incarnation.
func (inc *incarnation) pid() *actor.PID { return inc.context().Self() }

// branch returns the actor if it supervises others, and otherwise nil.
func (inc *incarnation) branch() branch {
	b, _ := inc.context().Actor().(branch)
	return b
}

// role is what Node.Kind says. A nil incarnation is an actor's.
func (inc *incarnation) role() string {
	if inc != nil {
		if b := inc.branch(); b != nil {
			return b.kind()
		}
	}
	return "actor"
}

// patience returns how long a stop waits for the child, 0 for without limit. A
// branch needs none: it never blocks, and bounds the stop of each of its children.
func (inc *incarnation) patience(shutdown time.Duration) time.Duration {
	if shutdown == 0 && inc.branch() == nil {
		return defaultShutdown
	}
	return shutdown
}

// RegisterHandlers puts the incarnation between the mailbox and the actor. It runs
// as part of the spawn, before the first message.
func (inc *incarnation) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	inc.MessageInvoker = invoker
	inc.Mailbox.RegisterHandlers(inc, dispatcher)
	if b := inc.branch(); b != nil && inc.announce {
		b.reportTo(inc.up)
	}
	inc.wired.Store(true)
}

// PostSystemMessage passes message to the mailbox, once that takes any.
func (inc *incarnation) PostSystemMessage(message any) {
	await(&inc.wired)
	inc.Mailbox.PostSystemMessage(message)
}

// Start ends the spawn: *actor.Started is in the mailbox.
func (inc *incarnation) Start() {
	inc.Mailbox.Start()
	inc.open.Store(true)
}

// PostUserMessage passes message to the mailbox, behind *actor.Started.
func (inc *incarnation) PostUserMessage(message any) {
	await(&inc.open)
	inc.Mailbox.PostUserMessage(message)
}

// await waits for what another goroutine is about to do.
func await(flag *atomic.Bool) {
	for !flag.Load() {
		runtime.Gosched()
	}
}

// InvokeSystemMessage passes message on to the actor.
func (inc *incarnation) InvokeSystemMessage(message any) {
	if _, ok := message.(*actor.Stop); ok && !inc.stopping {
		inc.stopping = true
		// Since the spawn nobody but this goroutine reads these props.
		inc.props.Configure(actor.WithReceiverMiddleware(endQuietly))
	}
	inc.MessageInvoker.InvokeSystemMessage(message)
	if _, ok := message.(*actor.Started); ok && inc.announce && inc.branch() == nil {
		inc.up()
	}
}

// EscalateFailure reports to the supervisor that the actor has panicked. It is
// called by the deferred function that recovered the panic.
func (inc *incarnation) EscalateFailure(reason, message any) {
	inc.MessageInvoker.EscalateFailure(withStack(reason, message), message)
}

func (inc *incarnation) up() {
	ctx := inc.context()
	ctx.ActorSystem().Root.Send(ctx.Parent(), started{who: ctx.Self()})
}

// endQuietly keeps a panic in the handler of *actor.Stopping or *actor.Stopped
// from cancelling the stop, and reports it like any other.
func endQuietly(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
		switch envelope.Message.(type) {
		case *actor.Stopping, *actor.Stopped:
			defer func() {
				if r := recover(); r != nil {
					reportFailure(ctx, withStack(r, envelope.Message))
				}
			}()
		}
		next(ctx, envelope)
	}
}

// reportFailure tells the supervisor of a failure that does not interrupt the
// actor. It does so by the message that protoactor uses, which arrives before the
// news of the actor's end.
func reportFailure(ctx actor.ReceiverContext, reason any) {
	system, parent := ctx.ActorSystem(), ctx.Parent()
	if process, ok := system.ProcessRegistry.Get(parent); ok {
		process.SendSystemMessage(parent, &actor.Failure{Who: ctx.Self(), Reason: reason})
	}
}

// withStack makes a PanicError of a recovered value. It has to be called by the
// deferred function that recovered it.
func withStack(reason, message any) any {
	if e, ok := reason.(escalation); ok {
		return e
	}
	return &PanicError{
		Value:   reason,
		Message: fmt.Sprintf("%T", actor.UnwrapEnvelopeMessage(message)),
		Stack:   debug.Stack(),
	}
}
