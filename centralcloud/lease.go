package centralcloud

import (
	"math"
	"time"
)

// LeaseSeconds is a time in the unit of leases: whole seconds, where a part of
// one counts as one. It fits into 32 bits.
func LeaseSeconds(d time.Duration) int32 {
	return int32(min(max(math.Ceil(d.Seconds()), math.MinInt32), math.MaxInt32))
}

// maxBackoff is how long a message that failed waits at most.
const maxBackoff = time.Hour

// Backoff is how long a message waits that has been read so often: two seconds
// after the first time, then twice as long each time, up to an hour.
func Backoff(reads int) time.Duration {
	const doublings = 12 // more than an hour
	return min(time.Second<<min(max(reads, 0), doublings), maxBackoff)
}
