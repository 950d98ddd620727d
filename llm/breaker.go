package llm

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// failuresToOpen is how many failures in a row open a breaker.
	failuresToOpen = 3
	// openFor is how long an open breaker keeps calls away.
	openFor = 30 * time.Second
)

// breaker keeps calls away from a model that does not answer. Failures in a row
// open it for a time; then one call at a time, the probe, finds out whether the
// model answers again, which closes it. It is of this process only: hubs hear of
// failures, but later.
type breaker struct {
	began   time.Time    // what until counts from
	until   atomic.Int64 // when the time is over, in nanoseconds; 0 while it is closed
	probing atomic.Bool

	mu       sync.Mutex // of changes
	failures int        // in a row
	openings atomic.Int64
}

// ready reports whether a call would be admitted.
func (b *breaker) ready() bool {
	until := b.until.Load()
	return until == 0 || int64(time.Since(b.began)) >= until && !b.probing.Load()
}

// closed reports whether the model is not known to fail.
func (b *breaker) closed() bool { return b.until.Load() == 0 }

// admit lets a call through, if it may be made. The probe has to be released.
func (b *breaker) admit() (probe, admitted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ready() {
		return false, false
	}
	probe = !b.closed()
	b.probing.Store(probe)
	return probe, true
}

// release ends a probe, once what it found out is reported.
func (b *breaker) release() { b.probing.Store(false) }

// failed notes that the model did not answer, and reports whether that opened the
// breaker.
func (b *breaker) failed() (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	if b.failures < failuresToOpen {
		return false
	}
	if opened = b.closed(); opened {
		b.openings.Add(1)
	}
	b.until.Store(int64(time.Since(b.began) + openFor))
	return opened
}

// answered notes that the model did, and reports whether that closed the breaker.
func (b *breaker) answered() (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
	closed = !b.closed()
	b.until.Store(0)
	return closed
}
