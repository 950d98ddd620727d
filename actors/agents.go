package actors

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/persistence"
	"singularity/workflow"
)

// AgentFunc takes a message. An error makes the message come again, later;
// whether it was seen before, its ID tells.
type AgentFunc func(ctx context.Context, message workflow.Message) error

// agentRetry spaces the tries of a message that an agent does not take. After
// the last one the agent goes on to the next message; the one that it did not
// take stays in its inbox and comes again when the agent is registered anew.
var agentRetry = workflow.Retry{
	Attempts: 5,
	Delays:   []time.Duration{time.Second, 10 * time.Second, 100 * time.Second, 1000 * time.Second},
}

// inboxAtOnce is how many messages an agent's actor reads at a time.
const inboxAtOnce = 32

// consumer is an agent's code: what takes its messages.
type consumer struct {
	epoch int64
	take  AgentFunc
	// acknowledges: a message that take took is done. Otherwise its receiver
	// says so, by AcknowledgeMessage.
	acknowledges bool
	gone         <-chan struct{} // closed when there is nobody to take messages any more; nil for never
	release      func()          // makes way for another consumer; nil where that cannot happen
}

// RegisterAgent makes take the receiver of the messages to a named agent, one
// at a time, for as long as the node runs. Of several nodes that register the
// same name one takes the messages; the others stand by for when it is gone.
func (n *Node) RegisterAgent(ctx context.Context, name string, take AgentFunc) error {
	return n.agents.settle(ctx, name, persistence.AgentBuiltIn, consumer{take: take, acknowledges: true})
}

// AttachAgent returns the messages to a named agent, those first that were
// never acknowledged, until ctx ends or another call attaches the same name.
func (n *Node) AttachAgent(ctx context.Context, name string) (<-chan workflow.Delivery, error) {
	ctx, release := context.WithCancel(ctx)
	deliveries := make(chan workflow.Delivery)
	var sending sync.Mutex
	take := func(taking context.Context, message workflow.Message) error {
		sending.Lock()
		defer sending.Unlock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		select {
		case deliveries <- workflow.Delivery{Message: message, ArrivedAt: time.Now()}:
			return nil
		case <-taking.Done():
			return context.Cause(taking)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	context.AfterFunc(ctx, func() {
		sending.Lock()
		defer sending.Unlock()
		close(deliveries)
	})
	err := n.agents.settle(ctx, name, persistence.AgentAttached, consumer{take: take, gone: ctx.Done(), release: release})
	if err != nil {
		release()
		return nil, err
	}
	return deliveries, nil
}

// AcknowledgeMessage says that an attached agent is done with a message.
func (n *Node) AcknowledgeMessage(ctx context.Context, agent, messageID string) error {
	epoch, here := n.agents.epoch(agent)
	if !here {
		return fmt.Errorf("acknowledge message %s: %w: %s is not attached here", messageID, workflow.ErrAgentNotFound, agent)
	}
	_, err := n.journal.Commit(ctx, persistence.Acknowledge{Agent: agent, Epoch: epoch, MessageID: messageID})
	if err != nil {
		return fmt.Errorf("acknowledge message %s: %w", messageID, err)
	}
	return nil
}

// AgentExists reports whether an agent of that name was ever registered.
func (n *Node) AgentExists(ctx context.Context, name string) (bool, error) {
	_, err := n.store.Agent(ctx, name)
	if errors.Is(err, workflow.ErrAgentNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Agents lists all agents by name.
func (n *Node) Agents(ctx context.Context) ([]workflow.Agent, error) {
	stored, err := n.store.Agents(ctx)
	if err != nil {
		return nil, err
	}
	agents := make([]workflow.Agent, 0, len(stored))
	for _, a := range stored {
		agents = append(agents, workflow.Agent{
			Name: a.Name, Kind: string(a.Kind), Home: a.Instance, Live: n.agents.live(a),
			Waiting: a.Waiting, RegisteredAt: a.RegisteredAt,
		})
	}
	slices.SortFunc(agents, func(a, b workflow.Agent) int { return strings.Compare(a.Name, b.Name) })
	return agents, nil
}

// agentActor gives an agent its messages, in the order of their arrival.
type agentActor struct {
	node     *Node
	name     string
	code     consumer
	self     *actor.PID
	inbox    []persistence.InboxMessage
	after    int64 // the last message read
	attempt  int   // failed tries of the first message of inbox
	busy     bool  // reading, or a message is being taken
	changed  bool  // something arrived since the last read began
	held     bool  // the node's lease is in doubt
	stopTask context.CancelFunc
	serial   int // of the consumer; marks what is late
}

type (
	// settled says that the agent's code is another one now.
	settled struct{}
	// inboxChanged says that there is something new.
	inboxChanged struct{}
	// inboxRead is what a read found.
	inboxRead struct {
		serial   int
		messages []persistence.InboxMessage
		err      error
	}
	// homeLost says that the agent may live elsewhere by now.
	homeLost struct{}
	// messageTaken is how an attempt at the first message ended.
	messageTaken struct {
		serial int
		err    error
	}
	// tryAgain ends a backoff.
	tryAgain struct{ serial int }
	// consumerGone says that nobody takes messages any more.
	consumerGone struct{ serial int }
	// pingActor asks whether the actor lives.
	pingActor struct{ reply chan<- struct{} }
)

func newAgentProps(node *Node, name string) func(int) *actor.Props {
	return func(int) *actor.Props {
		return actor.PropsFromProducer(func() actor.Actor { return &agentActor{node: node, name: name} })
	}
}

// Receive implements [actor.Actor].
func (a *agentActor) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		a.self = ctx.Self()
		a.begin(a.node.agents.code(a.name))
	case settled:
		a.begin(a.node.agents.code(a.name))
	case inboxChanged:
		a.changed = true
		a.next()
	case inboxRead:
		if message.serial == a.serial {
			a.read(message)
		}
	case messageTaken:
		if message.serial == a.serial {
			a.taken(message.err)
		}
	case tryAgain:
		if message.serial == a.serial {
			a.busy = false
			a.next()
		}
	case consumerGone:
		if message.serial == a.serial {
			a.rest()
			a.node.agents.left(a.name, a.code.epoch)
		}
	case homeLost:
		a.rest()
	case leaseRenewed:
		a.held = false
		a.next()
	case pingActor:
		message.reply <- struct{}{}
	case *actor.Stopping:
		a.stop()
		if a.code.release != nil {
			a.code.release()
		}
	}
}

// rest takes no more messages until the agent settles again.
func (a *agentActor) rest() {
	a.serial++
	a.stop()
	a.code.take = nil
}

func (a *agentActor) stop() {
	if a.stopTask != nil {
		a.stopTask()
	}
}

// begin gives the inbox to a consumer, from its first message.
func (a *agentActor) begin(code consumer) {
	if code.epoch == a.code.epoch {
		return // it settled while the actor was being started
	}
	a.stop()
	a.serial++
	a.code, a.inbox, a.after, a.attempt = code, nil, 0, 0
	a.busy, a.changed = false, true
	if code.gone != nil {
		root, self, serial := a.node.system.Root, a.self, a.serial
		go func() {
			select {
			case <-code.gone:
			case <-a.node.stepContext.Done():
			}
			root.Send(self, consumerGone{serial})
		}()
	}
	a.next()
}

// next goes on with the first message, or reads more.
func (a *agentActor) next() {
	switch {
	case a.busy || a.code.take == nil:
	case a.held:
	case len(a.inbox) > 0 && !a.node.standing.admit(a.self):
		a.held = true // until leaseRenewed
	case len(a.inbox) > 0:
		ended := messageTaken{a.serial, errors.New("the agent ended its goroutine (runtime.Goexit); it must return")}
		a.task(ended, func(ctx context.Context, code consumer, message persistence.InboxMessage, serial int) any {
			return messageTaken{serial, take(ctx, code, message)}
		})
	case a.changed:
		a.changed = false
		node, name, after := a.node, a.name, a.after
		a.task(nil, func(ctx context.Context, code consumer, _ persistence.InboxMessage, serial int) any {
			messages, err := node.readInbox(ctx, name, code.epoch, after)
			return inboxRead{serial, messages, err}
		})
	}
}

// task runs work beside the actor and sends it the result; otherwise, when the
// work does not return.
func (a *agentActor) task(otherwise any, work func(context.Context, consumer, persistence.InboxMessage, int) any) {
	ctx, stop := context.WithCancel(a.node.stepContext)
	a.busy, a.stopTask = true, stop
	root, self, code, serial := a.node.system.Root, a.self, a.code, a.serial
	var first persistence.InboxMessage
	if len(a.inbox) > 0 {
		first = a.inbox[0]
	}
	go func() {
		result := otherwise
		defer func() {
			stop()
			root.Send(self, result)
		}()
		result = work(ctx, code, first, serial)
	}()
}

// readInbox returns what has come for an agent that lives here.
func (n *Node) readInbox(ctx context.Context, name string, epoch, after int64) ([]persistence.InboxMessage, error) {
	if n.shared != nil { // it may have moved, and nobody has told
		agent, err := n.store.Agent(ctx, name)
		if err != nil {
			return nil, err
		}
		if agent.Epoch > epoch {
			n.agents.moved(name, agent.Epoch)
			return nil, nil
		}
	}
	return n.store.Inbox(ctx, name, after, inboxAtOnce)
}

func take(ctx context.Context, code consumer, m persistence.InboxMessage) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &workflow.PanicError{Value: value, Stack: string(debug.Stack())}
		}
	}()
	return code.take(ctx, workflow.Message{Agent: m.Agent, ID: m.MessageID, Source: m.Source, Type: m.Type, Payload: m.Payload})
}

func (a *agentActor) read(m inboxRead) {
	if m.err != nil {
		a.node.log.Warn("inbox not read", "agent", a.name, "error", m.err)
		a.changed = true
		a.pause(time.Second)
		return
	}
	a.busy = false
	a.inbox = m.messages
	if len(m.messages) > 0 {
		a.after = m.messages[len(m.messages)-1].Seq
	}
	if len(m.messages) == inboxAtOnce {
		a.changed = true
	}
	a.next()
}

func (a *agentActor) taken(err error) {
	message := a.inbox[0]
	if err != nil {
		a.attempt++
		a.node.log.Warn("an agent did not take a message", "agent", a.name, "message", message.MessageID, "attempt", a.attempt, "error", err)
		if delay, again := agentRetry.Next(a.attempt, err, 0); again {
			a.pause(delay)
			return
		}
	} else if a.code.acknowledges {
		a.acknowledge(message)
	}
	a.busy, a.attempt, a.inbox = false, 0, a.inbox[1:]
	a.next()
}

func (a *agentActor) acknowledge(message persistence.InboxMessage) {
	node := a.node
	node.journal.Append(persistence.Acknowledge{Agent: a.name, Epoch: a.code.epoch, MessageID: message.MessageID},
		func(verdict persistence.Verdict) {
			if errors.Is(verdict.Err, persistence.ErrFenced) {
				node.tellDispatcher(lookNow{}) // it has moved
			}
			if verdict.Err != nil {
				node.log.Warn("a message was taken and comes again, because that could not be stored",
					"agent", message.Agent, "message", message.MessageID, "error", verdict.Err)
			}
		})
}

func (a *agentActor) pause(delay time.Duration) {
	root, self, serial := a.node.system.Root, a.self, a.serial
	time.AfterFunc(delay, func() { root.Send(self, tryAgain{serial}) })
}
