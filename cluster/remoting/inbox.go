package remoting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/messages"
)

// inboxName is the name of the one actor that can be reached from outside.
const inboxName = "inbox"

// inbox is where envelopes arrive: replies go to those who wait for them,
// messages to Deliver, each on a goroutine of its own.
type inbox struct {
	self    Peer
	deliver func(context.Context, Delivery) (Reply, error)
	epoch   func(target string) (int64, bool)
	limits  Limits
	log     *slog.Logger
	links   *links
	recent  *recent

	pid     *actor.PID
	cancel  context.CancelFunc // ends the contexts of deliveries
	slots   chan struct{}      // one token for each delivery
	serving sync.WaitGroup
}

func openInbox(system *actor.ActorSystem, self Peer, config Config, links *links) *inbox {
	ctx, cancel := context.WithCancel(context.Background())
	in := &inbox{
		self: self, deliver: config.Deliver, epoch: config.Epoch, limits: config.Limits, log: config.Logger,
		links: links, recent: newRecent(config.Limits),
		cancel: cancel, slots: make(chan struct{}, config.Limits.Deliveries),
	}
	receive := func(c actor.Context) {
		if e, ok := c.Message().(*messages.Envelope); ok {
			in.accept(ctx, e)
		}
	}
	in.pid, _ = system.Root.SpawnNamed(actor.PropsFromFunc(receive), inboxName) // fails for a name in use only
	return in
}

// close ends the deliveries, and waits until their replies are on their way.
func (in *inbox) close(system *actor.ActorSystem) {
	in.cancel()
	if err := system.Root.StopFuture(in.pid).Wait(); err != nil {
		in.log.Warn("the inbox did not stop", "error", err)
	}
	in.serving.Wait()
}

// accept is called by the actor, and never waits.
func (in *inbox) accept(ctx context.Context, e *messages.Envelope) {
	switch {
	case e.GetReply():
		if e.GetTargetBoot() == in.self.Boot {
			in.links.answer(e)
		}
	case ctx.Err() != nil:
		in.refuse(e, ErrClosed)
	default:
		select {
		case in.slots <- struct{}{}:
			in.serving.Go(func() {
				defer func() { <-in.slots }()
				in.serve(ctx, e)
			})
		default:
			in.refuse(e, fmt.Errorf("%w: it acts on %d messages already", ErrBusy, cap(in.slots)))
		}
	}
}

// refuse replies with an error if that can be done at once.
func (in *inbox) refuse(e *messages.Envelope, reason error) {
	if l := in.links.at(sourceOf(e)); l != nil && l.isUp() {
		_ = l.reply(replyTo(e, in.self, Reply{}, encodeError(reason)))
	}
}

// serve acts on a message, unless it did before, and replies.
func (in *inbox) serve(ctx context.Context, e *messages.Envelope) {
	if err := in.check(e); err != nil {
		in.reply(ctx, replyTo(e, in.self, Reply{}, encodeError(err)), sourceOf(e))
		return
	}
	reply, fresh := in.recent.begin(keyOf(e))
	if fresh {
		reply = in.act(ctx, e)
		if notActedOn(reply.GetError()) {
			in.recent.forget(keyOf(e))
		} else {
			in.recent.finish(keyOf(e), reply)
		}
	}
	if reply != nil { // else it is being acted on, and one reply will do
		in.reply(ctx, reply, sourceOf(e))
	}
}

// check refuses what is meant for another life of the node or of the target.
func (in *inbox) check(e *messages.Envelope) error {
	if e.GetTargetBoot() != in.self.Boot {
		return fmt.Errorf("%w: the message is for boot %s, this is %s", ErrStaleIncarnation, e.GetTargetBoot(), in.self)
	}
	if e.GetEpoch() == 0 {
		return nil
	}
	if current, known := in.epoch(e.GetTarget()); known && current != e.GetEpoch() {
		return fmt.Errorf("%w: the message is for epoch %d of %s, which is in %d", ErrStaleEpoch, e.GetEpoch(), e.GetTarget(), current)
	}
	return nil
}

// act returns the reply to a message.
func (in *inbox) act(ctx context.Context, e *messages.Envelope) *messages.Envelope {
	patience := in.limits.Timeout
	if e.GetTimeoutMs() > 0 {
		patience = time.Duration(min(e.GetTimeoutMs(), maxPatience.Milliseconds())) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := in.protected(ctx, deliveryOf(e))
	if err == nil {
		err = Message{Type: reply.Type, Payload: reply.Payload}.validate(in.limits.Payload)
	}
	if err != nil {
		return replyTo(e, in.self, Reply{}, encodeError(err))
	}
	return replyTo(e, in.self, reply, nil)
}

// maxPatience is how long a sender may want a message to be acted on.
const maxPatience = time.Hour

func (in *inbox) protected(ctx context.Context, d Delivery) (reply Reply, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			in.log.Error("a message made its receiver panic", "target", d.Target, "type", d.Type, "peer", d.From,
				"reason", reason, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s made its receiver panic: %v", d.Type, reason)
		}
	}()
	return in.deliver(ctx, d)
}

// reply sends a reply, even while the node closes. If the sender cannot be
// reached it will repeat the message, or has no use for the reply.
func (in *inbox) reply(ctx context.Context, reply *messages.Envelope, to Peer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.limits.Dial)
	defer cancel()
	l, err := in.links.to(to)
	if err == nil {
		err = l.stands(ctx)
	}
	if err == nil {
		err = l.reply(reply)
	}
	if err != nil && !errors.Is(err, ErrClosed) {
		in.log.Debug("reply lost", "peer", to, "error", err)
	}
}
