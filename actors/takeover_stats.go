package actors

import (
	"maps"
	"slices"
	"sync"
	"time"

	"singularity/persistence"
)

// TakeoverStats is what became of the boots that a node declared dead on one
// ground.
type TakeoverStats struct {
	Declared int64
	// Claimed are the times from the first suspicion until the first of a boot's
	// runs had an owner again, of the boots for which that was seen: not of those
	// that had no runs.
	Claimed Durations
}

// DurationBounds are the upper bounds of the classes of [Durations].
var DurationBounds = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// Durations is a histogram.
type Durations struct {
	Counts [len(DurationBounds)]int64 // up to each of the bounds, and above the one before it
	Longer int64
	Sum    time.Duration
}

func (d *Durations) add(duration time.Duration) {
	d.Sum += duration
	if i, _ := slices.BinarySearch(DurationBounds[:], duration); i < len(d.Counts) {
		d.Counts[i]++
	} else {
		d.Longer++
	}
}

// takeoverCounts counts takeovers by their grounds. It is safe for concurrent
// use.
type takeoverCounts struct {
	mu       sync.Mutex
	byGround map[persistence.Ground]TakeoverStats
}

func (c *takeoverCounts) declared(ground persistence.Ground) {
	c.change(ground, func(s *TakeoverStats) { s.Declared++ })
}

func (c *takeoverCounts) claimed(ground persistence.Ground, after time.Duration) {
	c.change(ground, func(s *TakeoverStats) { s.Claimed.add(after) })
}

func (c *takeoverCounts) change(ground persistence.Ground, apply func(*TakeoverStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byGround == nil {
		c.byGround = map[persistence.Ground]TakeoverStats{}
	}
	stats := c.byGround[ground]
	apply(&stats)
	c.byGround[ground] = stats
}

func (c *takeoverCounts) read() map[persistence.Ground]TakeoverStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byGround)
}
