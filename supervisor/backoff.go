package supervisor

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Backoff is the delay before a restart. It grows with every restart in a row,
// and starts over after the child has run for the supervisor's Window without
// ending. The defaults of Backoff and [Config] fit together: a child that fails at
// once at every start spends its restarts in less than a Window and is given up.
type Backoff struct {
	// Min is the delay before the first restart. Defaults to 100ms.
	Min time.Duration
	// Max is the longest delay. Defaults to 5s, or Min if that is longer.
	Max time.Duration
	// Factor is what the delay grows by from one restart to the next. Defaults to 2.
	Factor float64
	// Jitter is the largest part of a delay that is taken off it at random, so that
	// children which failed together do not return together. Negative means none.
	// Defaults to 0.2.
	Jitter float64
}

// Delay returns how long to wait before a restart that n others in a row went
// before. rnd returns a random number in [0, 1), as [math/rand/v2.Float64] does.
func (b Backoff) Delay(n int, rnd func() float64) time.Duration {
	b = b.withDefaults()
	delay := b.Max
	// Compared as floats: the product for a long row of restarts is +Inf.
	if grown := float64(b.Min) * math.Pow(b.Factor, float64(n)); grown < float64(b.Max) {
		delay = time.Duration(grown)
	}
	if b.Jitter > 0 {
		delay -= time.Duration(b.Jitter * rnd() * float64(delay))
	}
	return delay
}

func (b Backoff) withDefaults() Backoff {
	if b.Min == 0 {
		b.Min = 100 * time.Millisecond
	}
	if b.Max == 0 {
		b.Max = max(5*time.Second, b.Min)
	}
	if b.Factor == 0 {
		b.Factor = 2
	}
	if b.Jitter == 0 {
		b.Jitter = 0.2
	}
	return b
}

func (b Backoff) validate() error {
	b = b.withDefaults()
	var errs []error
	if b.Min < 0 {
		errs = append(errs, fmt.Errorf("invalid Backoff.Min %s, want a positive duration", b.Min))
	}
	if b.Max < b.Min {
		errs = append(errs, fmt.Errorf("invalid Backoff.Max %s, want at least Min, which is %s", b.Max, b.Min))
	}
	if !(b.Factor >= 1) {
		errs = append(errs, fmt.Errorf("invalid Backoff.Factor %g, want at least 1", b.Factor))
	}
	if !(b.Jitter <= 1) {
		errs = append(errs, fmt.Errorf("invalid Backoff.Jitter %g, want at most 1", b.Jitter))
	}
	return errors.Join(errs...)
}
