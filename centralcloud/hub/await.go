package hub

import (
	"context"
	"time"
)

// await waits for news of the store, so long at most, and no longer than a look
// where the store cannot tell.
func (c Config) await(ctx context.Context, most time.Duration) {
	waiting, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if err := c.Store.Await(waiting); err != nil {
		pause(waiting, c.look())
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
