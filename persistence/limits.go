package persistence

import (
	"math"
	"time"

	"singularity/workflow"
)

// Rate is how fast a bucket fills, in tokens a second, and how many it holds.
type Rate struct{ PerSecond, Burst float64 }

// QueueRate is the rate at which runs of a queue may begin.
func QueueRate(s workflow.QueueSettings) Rate { return rateOf(s.Rate, s.Burst) }

// KeyRate is the rate at which runs with one key may begin.
func KeyRate(s workflow.QueueSettings) Rate { return rateOf(s.KeyRate, s.KeyBurst) }

func rateOf(perSecond float64, burst int) Rate {
	if burst > 0 {
		return Rate{perSecond, float64(burst)}
	}
	return Rate{perSecond, max(1, perSecond)}
}

// Limits reports whether there is a limit at all.
func (r Rate) Limits() bool { return r.PerSecond > 0 }

// Bucket holds the tokens of a rate; each run that begins takes one.
type Bucket struct {
	Tokens     float64
	RefilledAt time.Time
}

// Refill is a bucket as it is now. One that nothing was taken from yet is nil,
// and full. The clock may go back.
func (r Rate) Refill(b *Bucket, now time.Time) Bucket {
	if b == nil {
		return Bucket{r.Burst, now}
	}
	elapsed := max(now.Sub(b.RefilledAt), 0)
	return Bucket{min(r.Burst, b.Tokens+elapsed.Seconds()*r.PerSecond), b.RefilledAt.Add(elapsed)}
}

// Whole is how many tokens may be taken.
func (b Bucket) Whole() int { return int(max(math.Floor(b.Tokens), 0)) }

// Wait is how long it takes until a token may be taken, zero if one may.
func (r Rate) Wait(b Bucket) time.Duration {
	if b.Tokens >= 1 {
		return 0
	}
	seconds := (1 - b.Tokens) / r.PerSecond
	return time.Duration(min(seconds*float64(time.Second), float64(longestWait))) + time.Microsecond
}

// longestWait bounds the wait for a token; whoever waits looks again.
const longestWait = 24 * time.Hour

// Room is how many runs of a queue its limits, but for those of keys, let a
// claim begin.
type Room struct {
	Runs   int
	Bucket Bucket        // refilled, with nothing taken yet
	Wait   time.Duration // until the rate lets more begin, if it is the rate that does not now
}

// RoomIn says how many runs of a queue may begin beside those that run.
func RoomIn(s workflow.QueueSettings, limit, running int, bucket *Bucket, now time.Time) Room {
	room := Room{Runs: max(limit, 0)}
	if s.GlobalLimit > 0 {
		room.Runs = max(min(room.Runs, s.GlobalLimit-running), 0)
	}
	if rate := QueueRate(s); rate.Limits() {
		room.Bucket = rate.Refill(bucket, now)
		if whole := room.Bucket.Whole(); room.Runs > whole {
			room.Runs = whole
			room.Wait = rate.Wait(Bucket{Tokens: room.Bucket.Tokens - float64(whole)})
		}
	}
	return room
}

// sooner is the shorter of two waits, of which zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
