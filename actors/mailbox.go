package actors

import (
	"runtime"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// newProps returns the props of an actor that may be found by its name.
func newProps(producer actor.Producer, options ...actor.PropsOption) *actor.Props {
	return actor.PropsFromProducer(producer, append(options, actor.WithMailbox(newMailbox))...)
}

// mailbox makes those who send to an actor that is just being spawned wait for
// the moment that it takes. Protoactor registers the name first: a message that
// comes then would crash its sender, or overtake *actor.Started.
type mailbox struct {
	actor.Mailbox
	usable  atomic.Bool // for system messages, of which Started is the first
	started atomic.Bool
}

var unbounded = actor.Unbounded()

func newMailbox() actor.Mailbox { return &mailbox{Mailbox: unbounded()} }

// RegisterHandlers implements [actor.Mailbox].
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.Mailbox.RegisterHandlers(invoker, dispatcher)
	m.usable.Store(true)
}

// PostSystemMessage implements [actor.Mailbox].
func (m *mailbox) PostSystemMessage(message any) {
	awaitFlag(&m.usable)
	m.Mailbox.PostSystemMessage(message)
}

// Start implements [actor.Mailbox].
func (m *mailbox) Start() {
	m.Mailbox.Start()
	m.started.Store(true)
}

// PostUserMessage implements [actor.Mailbox].
func (m *mailbox) PostUserMessage(message any) {
	awaitFlag(&m.started)
	m.Mailbox.PostUserMessage(message)
}

func awaitFlag(flag *atomic.Bool) {
	for !flag.Load() {
		runtime.Gosched()
	}
}
