package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"singularity/workflow"
)

// hubWork is what sync and learnings have in common: each exchanges something with
// the hub beside the actor, one thing at a time, and does so again.
type hubWork struct {
	root *actor.RootContext
	self *actor.PID

	working  bool
	failures int // in a row
	next     *time.Timer

	running context.Context //nolint:containedctx // of the work beside the actor
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

func (w *hubWork) start(ctx actor.Context) {
	w.root, w.self = ctx.ActorSystem().Root, ctx.Self()
	w.running, w.stop = context.WithCancel(context.Background())
}

func (w *hubWork) end() {
	if w.next != nil {
		w.next.Stop()
	}
	w.stop()
	w.tasks.Wait()
}

// hubPatience bounds one exchange with the hub's queues.
const hubPatience = 30 * time.Second

// task works beside the actor, which gets what work returns.
func (w *hubWork) task(work func(ctx context.Context) any) {
	w.working = true
	running, root, self := w.running, w.root, w.self
	w.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(running, hubPatience)
		defer cancel()
		root.Send(self, work(ctx))
	})
}

// done notes how the task went, and logs the first failure in a row and its end.
func (w *hubWork) done(err error, log *slog.Logger, broken, mended string) {
	w.working = false
	switch {
	case err != nil:
		if w.failures == 0 {
			log.Warn(broken, "error", err)
		}
		w.failures++
	case w.failures > 0:
		log.Info(mended, "after_failures", w.failures)
		w.failures = 0
	}
}

// again reminds the actor of what is due every so often.
func (w *hubWork) again(every time.Duration, message any) {
	if w.next != nil {
		w.next.Stop()
	}
	root, self := w.root, w.self
	w.next = time.AfterFunc(hubBackoff(w.failures, every), func() { root.Send(self, message) })
}

// hubBackoff is how long to wait after so many failures in a row for the next try
// of something that is due every so often.
func hubBackoff(failures int, every time.Duration) time.Duration {
	if failures == 0 {
		return every
	}
	longest := max(every, time.Minute)
	delay := min(time.Second<<min(failures-1, 10), longest)
	return delay/2 + rand.N(delay)
}

// flushed is the answer to a flush.
type flushed[T any] struct {
	done T
	err  error
}

// awaitFlush waits for the answer to a flush.
func awaitFlush[T any](ctx context.Context, reply <-chan flushed[T]) (T, error) {
	answer, err := await(ctx, reply)
	if err == nil && answer.err != nil {
		err = fmt.Errorf("%w: the queues of the hub: %w; it is tried again", workflow.ErrUnavailable, answer.err)
	}
	return answer.done, err
}
