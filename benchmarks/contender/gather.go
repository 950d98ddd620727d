package contender

import (
	"context"
	"sync"
)

// Gather hands over in bulk what many callers bring one by one: while one call
// of the function is under way, the next one's items collect. An engine that
// takes work in bulk is so measured at its best.
type Gather[T any] struct {
	items  chan gathered[T]
	stop   context.CancelFunc
	worker sync.WaitGroup
}

type gathered[T any] struct {
	item  T
	reply chan<- error
}

// NewGather starts to hand items over, at most limit of them at once. Close it
// when nobody calls Do any more.
func NewGather[T any](ctx context.Context, limit int, handOver func(context.Context, []T) error) *Gather[T] {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	g := &Gather[T]{items: make(chan gathered[T], limit), stop: stop}
	g.worker.Go(func() { g.work(ctx, limit, handOver) })
	return g
}

// Do hands one item over and returns when that is done.
func (g *Gather[T]) Do(ctx context.Context, item T) error {
	reply := make(chan error, 1)
	select {
	case g.items <- gathered[T]{item, reply}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the call that is under way.
func (g *Gather[T]) Close() {
	g.stop()
	g.worker.Wait()
}

func (g *Gather[T]) work(ctx context.Context, limit int, handOver func(context.Context, []T) error) {
	for {
		var batch []gathered[T]
		select {
		case first := <-g.items:
			batch = append(batch, first)
		case <-ctx.Done():
			return
		}
		for len(batch) < limit && len(g.items) > 0 {
			batch = append(batch, <-g.items)
		}
		items := make([]T, len(batch))
		for i, each := range batch {
			items[i] = each.item
		}
		err := handOver(ctx, items)
		for _, each := range batch {
			each.reply <- err
		}
	}
}
