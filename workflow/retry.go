package workflow

import (
	"errors"
	"time"
)

// Retry is a step's policy for failed attempts.
type Retry struct {
	// Attempts is how often the step is tried in all. Defaults to 5.
	Attempts int
	// Delays are the waits after the first, second, … failed attempt; the last
	// one repeats. Defaults to 1s, 10s, 100s, 1000s.
	Delays []time.Duration
	// Backoff computes the wait after failed attempt number attempt (from 1) with
	// its error, in place of Delays. It is called on many goroutines; one that
	// panics costs the run its further attempts.
	Backoff func(attempt int, err error) time.Duration
	// Jitter adds a random share of the delay, between these two fractions, so
	// that runs which failed together do not come back together. Negative
	// fractions add nothing: {-1, -1} is none. Defaults to 0.1 and 0.2.
	Jitter [2]float64
}

var defaultDelays = []time.Duration{time.Second, 10 * time.Second, 100 * time.Second, 1000 * time.Second}

func (r Retry) withDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 5
	}
	if len(r.Delays) == 0 {
		r.Delays = defaultDelays
	}
	if r.Jitter == [2]float64{} {
		r.Jitter = [2]float64{0.1, 0.2}
	}
	return r
}

// Next decides what follows failed attempt number attempt (from 1): whether
// there is another one, and after which delay. random is uniform in [0, 1).
func (r Retry) Next(attempt int, err error, random float64) (delay time.Duration, again bool) {
	r = r.withDefaults()
	if IsPermanent(err) || attempt >= r.Attempts {
		return 0, false
	}
	if after := (*retryAfterError)(nil); errors.As(err, &after) {
		return after.delay, true
	}
	delay = r.Delays[min(attempt, len(r.Delays))-1]
	if r.Backoff != nil {
		if delay, again = r.backoff(attempt, err); !again {
			return 0, false
		}
	}
	share := r.Jitter[0] + random*(r.Jitter[1]-r.Jitter[0])
	return delay + time.Duration(max(share, 0)*float64(delay)), true
}

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool {
	permanent := (*permanentError)(nil)
	return errors.As(err, &permanent)
}

// backoff asks the policy's function, whose panic ends the attempts.
func (r Retry) backoff(attempt int, err error) (delay time.Duration, again bool) {
	defer func() {
		if recover() != nil {
			delay, again = 0, false
		}
	}()
	return max(r.Backoff(attempt, err), 0), true
}
