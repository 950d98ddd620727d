package centralcloud

import (
	"iter"
	"time"
)

// What timeouts are made from.
const (
	// TimeoutSize is how many answers there are, at least.
	TimeoutSize = 1000
	// TimeoutShare of all calls would be answered in the time that timeouts are made
	// from.
	TimeoutShare = 0.995
	// TimeoutMargin is how many times as long a timeout is.
	TimeoutMargin = 1.5
	// leastTimeout is none that an ordinary hiccup of a network would fill.
	leastTimeout = time.Second
)

// Durations are some durations in microseconds, in order, and how many calls each
// stands for.
type Durations = iter.Seq2[float64, float64]

// Survival returns within how long a share of all calls would be answered if none
// was given up. A call that was given up would have taken longer than that, which is
// what Kaplan and Meier's estimate makes of it (Nonparametric estimation from
// incomplete observations, 1958): otherwise each timeout would call for a shorter
// one. It is atLeast so long when too many were given up, and 0 when there are none.
func Survival(share float64, answered, givenUp Durations) (micros float64, atLeast bool) {
	waiting := weightOf(answered) + weightOf(givenUp)
	next, stop := iter.Pull2(givenUp)
	defer stop()
	left, longest := 1.0, 0.0
	patience, gone, more := next()
	for after, weight := range answered {
		for ; more && patience < after; patience, gone, more = next() {
			waiting -= gone
		}
		left *= 1 - weight/waiting
		waiting -= weight
		longest = after
		if left <= 1-share {
			return after, false
		}
	}
	for ; more; patience, _, more = next() {
		longest = max(longest, patience)
	}
	return longest, true
}

func weightOf(durations Durations) (sum float64) {
	for _, weight := range durations {
		sum += weight
	}
	return sum
}

// FitTimeout returns how long a call should have, by how long those took that were
// answered and how long those were waited for that were given up; 0 when there are
// too few to say.
func FitTimeout(answered, givenUp Sketch) time.Duration {
	if answered.Count() < TimeoutSize {
		return 0
	}
	micros, _ := Survival(TimeoutShare, answered.durations, givenUp.durations)
	return max(leastTimeout, time.Duration(TimeoutMargin*micros)*time.Microsecond)
}

func (s Sketch) durations(yield func(micros, weight float64) bool) {
	for micros, count := range s.All() {
		if !yield(float64(micros), float64(count)) {
			return
		}
	}
}
