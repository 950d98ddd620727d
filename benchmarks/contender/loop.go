package contender

import (
	"context"
	"sync"
	"time"
)

// Loop keeps inFlight workflows under way: each of so many goroutines runs one
// after the other. When the duration is over none starts any more; Loop waits
// for those under way, and returns how long each took. The first error ends it.
func Loop(ctx context.Context, inFlight int, duration time.Duration, run func(context.Context) error) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		workers sync.WaitGroup
		took    = make([][]time.Duration, inFlight)
		end     = time.Now().Add(duration)
	)
	for i := range inFlight {
		workers.Go(func() {
			for began := time.Now(); began.Before(end) && ctx.Err() == nil; {
				if err := run(ctx); err != nil {
					cancel(err)
					return
				}
				now := time.Now()
				took[i] = append(took[i], now.Sub(began))
				began = now
			}
		})
	}
	workers.Wait()
	var all []time.Duration
	for _, each := range took {
		all = append(all, each...)
	}
	return all, context.Cause(ctx)
}
