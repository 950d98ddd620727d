package supervisor

import "time"

// history is what outlives a child's incarnations.
type history struct {
	starts int       // incarnations so far
	upAt   time.Time // when the present incarnation came up, zero before that
	failed bool      // the present incarnation has panicked
	streak int       // restarts since the child last ran for a window

	lastFailure   error
	lastFailureAt time.Time
}

// restarts is how often the child was started again.
func (h *history) restarts() int { return max(h.starts-1, 0) }

// begin opens the record of a new incarnation.
func (h *history) begin() {
	h.starts++
	h.upAt = time.Time{}
	h.failed = false
}

// fail records that the present incarnation has panicked or never came to be.
func (h *history) fail(now time.Time, err error) {
	h.failed = true
	h.remark(now, err)
}

// remark records err without making the end of the incarnation abnormal.
func (h *history) remark(now time.Time, err error) {
	h.lastFailure, h.lastFailureAt = err, now
}

// cause returns the failure that ended the present incarnation, nil if it ended
// normally.
func (h *history) cause() error {
	if h.failed {
		return h.lastFailure
	}
	return nil
}

// delay returns how long the next incarnation has to wait, and counts it.
func (h *history) delay(now time.Time, window time.Duration, b Backoff, rnd func() float64) time.Duration {
	if !h.upAt.IsZero() && now.Sub(h.upAt) >= window {
		h.streak = 0
	}
	h.streak++
	return b.Delay(h.streak-1, rnd)
}

// intensity holds the times of the latest restarts.
type intensity []time.Time

// allow counts a restart at now, or reports that it would exceed limit within the
// window before now.
func (in *intensity) allow(now time.Time, limit int, window time.Duration) bool {
	recent := (*in)[:0]
	for _, at := range *in {
		if now.Sub(at) < window {
			recent = append(recent, at)
		}
	}
	allowed := len(recent) < limit
	if allowed {
		recent = append(recent, now)
	}
	*in = recent
	return allowed
}
