package postgres

import (
	"testing"
	"time"
)

// What tests need of a partitioned store: to make one at another time, and the
// ids of a time.
var (
	PartitionAt = partition
	FirstID     = firstID
)

// AwayFromMidnight waits until a test can be over before the day is: the
// database's clock is the machine's, and would begin another day under it.
func AwayFromMidnight(t testing.TB) {
	t.Helper()
	const mostOfATest = 2 * time.Minute
	now := time.Now().UTC()
	midnight := now.Truncate(24*time.Hour).AddDate(0, 0, 1)
	if midnight.Sub(now) > mostOfATest {
		return
	}
	select {
	case <-time.After(midnight.Sub(now)):
	case <-t.Context().Done():
	}
}
