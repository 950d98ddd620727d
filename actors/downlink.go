package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"singularity/centralcloud"
	"singularity/persistence"
)

// learningsAtOnce is how many messages one read takes.
const learningsAtOnce = 10

// downlink takes in what the hub teaches. One goroutine at a time uses it.
type downlink struct {
	node     *Node
	queue    centralcloud.Queue
	name     string // of the node's own queue
	current  bool   // the node knows what is in the store
	greeted  bool   // the hub has been told that the node listens, and of what it knows
	assembly centralcloud.Assembly
}

// receivedLearnings is what became of the messages that were read.
type receivedLearnings struct {
	Applied  int `json:"applied"`
	Ignored  int `json:"ignored"`  // since the node knows as new ones
	Deferred int `json:"deferred"` // that cannot be applied, to be tried again
	Dead     int `json:"dead"`     // that could not be applied
}

// receive reads the queue until it is empty.
func (d *downlink) receive(ctx context.Context) (sum receivedLearnings, err error) {
	if !d.current {
		if err := d.node.loadLearned(ctx); err != nil {
			return sum, err
		}
		d.current = true
	}
	if err := d.greet(ctx); err != nil {
		return sum, err
	}
	for {
		round, err := d.round(ctx, &sum)
		sum.Deferred += round.Deferred
		sum.Dead += round.Buried
		if err != nil {
			d.greeted = false // it may have missed something, or lost its queue
			return sum, fmt.Errorf("read queue %s: %w", d.name, err)
		}
		if round.Read() < learningsAtOnce {
			return sum, d.greet(ctx) // again, if something is missing
		}
	}
}

// greet makes the queues and lets the hub know what the node knows, so that it
// sends what is missing, and no backlog. It does so once, until something is missed.
func (d *downlink) greet(ctx context.Context) error {
	if d.greeted {
		return nil
	}
	if err := d.sayHello(ctx); err != nil {
		return fmt.Errorf("greet the hub: %w", err)
	}
	d.greeted = true
	return nil
}

func (d *downlink) sayHello(ctx context.Context) error {
	for _, name := range []string{d.name, centralcloud.DeadDown} {
		if err := d.queue.CreateQueue(ctx, name); err != nil {
			return err
		}
	}
	boot := d.node.standing.boot()
	hello, err := centralcloud.EncodeHello(d.node.introduction(boot.ID, boot.Instance), d.node.Learned().Versions())
	if err != nil {
		return err
	}
	return sendUp(ctx, d.queue, hello)
}

// round reads once. When the store does not keep a message, that is not the fault
// of the message: the round ends, and the next one begins by asking the store.
func (d *downlink) round(ctx context.Context, sum *receivedLearnings) (centralcloud.Round, error) {
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	consumer := centralcloud.Consumer{Receiver: d.queue, Queue: d.name, Dead: centralcloud.DeadDown, Batch: learningsAtOnce}
	round, err := consumer.Round(ctx, func(ctx context.Context, message centralcloud.Message) error {
		applied, err := d.learn(ctx, message)
		switch {
		case errors.Is(err, errNotKept):
			d.current = false
			abort(err)
		case err != nil:
			d.node.log.Warn("a message of the hub cannot be applied", "message", message.ID, "reads", message.Reads, "error", err)
		case applied:
			sum.Applied++
		default:
			sum.Ignored++
		}
		return err
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return round, err
}

// errNotKept: the store did not keep what a message teaches.
var errNotKept = errors.New("the store does not keep what the hub teaches")

// learn applies a message, and reports whether there was anything new in it. What
// it teaches is kept before the message is acknowledged, but for a part of a policy
// that is not whole yet: when the process ends, the next one asks for all of it.
func (d *downlink) learn(ctx context.Context, message centralcloud.Message) (bool, error) {
	lessons, err := centralcloud.DecodeLearning(message.Body)
	if err != nil {
		return false, err
	}
	known := d.node.learned.Load()
	news := known.News(lessons)
	if len(news) == 0 {
		return false, nil
	}
	complete, gap, err := d.assembly.Complete(known.Policy, news)
	if err != nil {
		return false, err
	}
	if gap {
		d.node.log.Info("the hub changes a policy that this node has not; it asks for the whole", "has", known.Versions()[centralcloud.TypeModelRouting])
		d.greeted = false
	}
	if len(complete) == 0 {
		return true, nil
	}
	next, err := known.With(complete)
	if err != nil {
		return false, err
	}
	return true, d.node.keep(ctx, next, complete)
}

// keep puts what the node knows by some lessons in the place of what it knew.
func (n *Node) keep(ctx context.Context, next *centralcloud.Learned, lessons []centralcloud.Lesson) error {
	kept := make([]persistence.Learning, len(lessons))
	for i, lesson := range lessons {
		kept[i] = persistence.Learning{Type: lesson.Type, Name: lesson.Name, Version: lesson.Version, Document: lesson.Document}
	}
	if err := n.store.KeepLearnings(ctx, kept); err != nil {
		return fmt.Errorf("%w: %w", errNotKept, err)
	}
	known := n.learned.Load()
	n.learned.Store(next)
	for _, lesson := range lessons {
		if !lesson.Known() {
			n.log.Warn("the hub teaches something that this version does not know; it is kept", "type", lesson.Type, "version", lesson.Version)
			continue
		}
		level := slog.LevelInfo
		if lesson.Type == centralcloud.TypeModelRouting && known.Policy != nil {
			level = slog.LevelDebug // there is one every minute
		}
		n.log.Log(ctx, level, "learned from the hub", "type", lesson.Type, "name", lesson.Name, "version", lesson.Version)
	}
	return nil
}

// loadLearned makes the node know what it, or another one, was taught before.
func (n *Node) loadLearned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := n.store.Learnings(ctx)
	if err != nil {
		return fmt.Errorf("read what the hub has taught: %w", err)
	}
	learned := n.learned.Load()
	for _, l := range list {
		lesson := centralcloud.Lesson{Type: l.Type, Name: l.Name, Version: l.Version, Document: l.Document}
		next, err := learned.With([]centralcloud.Lesson{lesson})
		if err != nil {
			n.log.Warn("something that the hub has taught is not used", "type", l.Type, "name", l.Name, "version", l.Version, "error", err)
			continue
		}
		learned = next
	}
	n.learned.Store(learned)
	return nil
}
