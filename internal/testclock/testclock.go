// Package testclock keeps tests of days away from midnight.
package testclock

import (
	"testing"
	"time"
)

// mostOfATest is how long a test of a day takes at most.
const mostOfATest = 2 * time.Minute

// AwayFromMidnight waits, if it must, until a test can be over before the day is,
// in UTC. It is for tests whose stores have a clock of their own, that is now at a
// time: it would begin another day under them.
func AwayFromMidnight(t testing.TB, now time.Time) {
	t.Helper()
	left := untilMidnight(now)
	if left > mostOfATest {
		return
	}
	t.Logf("it is %s before midnight, which is waited for", left)
	select {
	case <-time.After(left):
	case <-t.Context().Done():
	}
}

func untilMidnight(now time.Time) time.Duration {
	now = now.UTC()
	return now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
}
