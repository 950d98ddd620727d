package remoting

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"

	"singularity/messages"
)

// Node is one node's end of the cluster's network.
type Node struct {
	self   Peer
	config Config

	system *actor.ActorSystem
	remote *remote.Remote
	guard  *guard
	links  *links
	inbox  *inbox
	bell   *bell

	prefix string        // of the ids that the node makes
	named  atomic.Uint64 // messages that got one

	closing sync.Once
	closed  atomic.Bool
}

// mostFreePorts is how many free ports are tried. Protoactor listens by itself:
// between the look for a free port and that, others may take it.
const mostFreePorts = 5

// Listen begins to receive messages. The caller closes the node. An address that
// is in use is [syscall.EADDRINUSE].
func Listen(config Config) (n *Node, err error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("remoting: %w", err)
	}
	for range mostFreePorts {
		n, err = listen(config)
		if !strings.HasSuffix(config.Bind, ":0") || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("remoting: %w", err)
	}
	return n, nil
}

func listen(config Config) (*Node, error) {
	address, err := freeAddress(config.Bind)
	if err != nil {
		return nil, err
	}
	n := &Node{config: config, self: Peer{Address: address, Boot: config.Boot}, prefix: "~" + rand.Text()[:8] + "-"}
	if config.Advertise != "" {
		n.self.Address = config.Advertise
	}
	n.system = newSystem(config.Logger, config.Boot)
	n.bell = newBell(config.Notify)
	n.links = newLinks(n.system, n.self, newDialer(n.self, newCredentials(config.TLS, config.Logger, config.Refused), config.Limits), config.Limits, n.bell)
	n.guard = newGuard(n.self, config.TLS, config.Logger, config.Refused)
	n.inbox = openInbox(n.system, n.self, config, n.links)
	if n.remote, err = serve(n.system, address, n.self, n.guard, n.links); err != nil {
		n.inbox.close(n.system)
		n.bell.close()
		return nil, err
	}
	return n, nil
}

// newSystem makes the actor system in which the inbox lives, alone.
func newSystem(log *slog.Logger, boot string) *actor.ActorSystem {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(warnings{log.Handler()})
	}))
	system.ID = boot // which protoactor answers hellos with
	return system
}

// Self is this node, as others reach it.
func (n *Node) Self() Peer { return n.self }

// SetPeers says which other nodes there are. To them, or, if they are many, to
// the nearest, streams are kept whose breaking raises an [Event].
func (n *Node) SetPeers(peers []Peer) {
	n.links.want(neighbours(n.self, peers, n.config.Limits.Standing))
}

// Call sends a message and returns the reply. While the window to the peer is
// full it waits for room. It gives up when ctx ends, or after Limits.Timeout if
// ctx has no deadline.
func (n *Node) Call(ctx context.Context, to Peer, m Message) (Reply, error) {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.config.Limits.Timeout)
		defer cancel()
	}
	reply, err := n.call(ctx, to, m)
	if err != nil {
		return Reply{}, fmt.Errorf("call %s of %s on %s: %w", m.Type, m.Target, to, err)
	}
	return reply, nil
}

func (n *Node) call(ctx context.Context, to Peer, m Message) (Reply, error) {
	l, err := n.link(ctx, to, &m)
	if err != nil {
		return Reply{}, err
	}
	deadline, _ := ctx.Deadline()
	e := m.envelope(n.self, to, time.Until(deadline))
	if err := l.window.Acquire(ctx, weightOf(e)); err != nil {
		return Reply{}, fmt.Errorf("%w: the window to it stayed full: %w", ErrBusy, err)
	}
	type outcome struct {
		reply *messages.Envelope
		err   error
	}
	ended := make(chan outcome, 1)
	o, err := l.send(e, func(reply *messages.Envelope, err error) { ended <- outcome{reply, err} })
	if err != nil {
		return Reply{}, err
	}
	stop := context.AfterFunc(ctx, func() { l.forget(o, ctx.Err()) })
	defer stop()
	end := <-ended
	return unwrap(end.reply, end.err)
}

// Tell sends a message and does not wait for the reply. It waits for a stream
// to the peer if there is none, but never for room in the window: that is
// ErrBusy. If it returns nil, how the message ends is known within
// Limits.Timeout; errors go to Config.Undelivered.
func (n *Node) Tell(ctx context.Context, to Peer, m Message) error {
	if err := n.tell(ctx, to, m); err != nil {
		return fmt.Errorf("tell %s %s on %s: %w", m.Target, m.Type, to, err)
	}
	return nil
}

func (n *Node) tell(ctx context.Context, to Peer, m Message) error {
	l, err := n.link(ctx, to, &m)
	if err != nil {
		return err
	}
	e := m.envelope(n.self, to, n.config.Limits.Timeout)
	if !l.window.TryAcquire(weightOf(e)) {
		return fmt.Errorf("%w: the window to it is full", ErrBusy)
	}
	o, err := l.send(e, func(reply *messages.Envelope, err error) {
		if _, err := unwrap(reply, err); err != nil {
			n.config.Undelivered(to, m, err)
		}
	})
	if err != nil {
		return err
	}
	l.expire(o, n.config.Limits.Timeout)
	return nil
}

// link returns the way for a message, to which it gives an id, once it is open.
func (n *Node) link(ctx context.Context, to Peer, m *Message) (*link, error) {
	if n.closed.Load() {
		return nil, ErrClosed
	}
	if m.ID == "" {
		m.ID = fmt.Sprint(n.prefix, n.named.Add(1))
	}
	if err := errors.Join(to.validate(), m.validate(n.config.Limits.Payload)); err != nil {
		return nil, err
	}
	l, err := n.links.to(to)
	if err != nil {
		return nil, err
	}
	return l, l.stands(ctx)
}

func unwrap(reply *messages.Envelope, err error) (Reply, error) {
	if err == nil {
		err = decodeError(reply.GetError())
	}
	if err != nil {
		return Reply{}, err
	}
	return Reply{Type: reply.GetType(), Payload: reply.GetPayload()}, nil
}

// Close says goodbye to all peers, ends what is under way in either direction,
// and waits for it. It may be called more than once, but not by Deliver, Notify
// or Undelivered.
func (n *Node) Close() {
	n.closing.Do(func() {
		n.closed.Store(true)
		n.inbox.close(n.system) // its last replies need the links
		n.guard.close(n.config.Limits.Goodbye)
		n.links.close()
		n.remote.Shutdown(false) // the other kind writes to channels of streams that have just ended
		n.bell.close()
	})
}
