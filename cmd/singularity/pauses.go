package main

import (
	"context"
	"time"
)

// pauses are the waits between trials to reach a node that is away: longer
// ones each time, and an end.
type pauses struct {
	patience time.Duration
	since    time.Time
	length   time.Duration
}

const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

func (c *cli) pauses() *pauses {
	p := &pauses{patience: c.patience}
	p.reset()
	return p
}

// reset says that the node answered.
func (p *pauses) reset() {
	p.since, p.length = time.Now(), firstPause
}

// next waits, and reports whether another trial is worth it.
func (p *pauses) next(ctx context.Context) bool {
	if time.Since(p.since)+p.length > p.patience {
		return false
	}
	timer := time.NewTimer(p.length)
	defer timer.Stop()
	p.length = min(2*p.length, lastPause)
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
