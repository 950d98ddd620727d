package centralcloud_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"singularity/centralcloud"
)

func TestLeasesAreWholeSecondsOf32Bits(t *testing.T) {
	t.Parallel()
	for lease, want := range map[time.Duration]int32{
		0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, -time.Millisecond: 0, -time.Minute: -60,
		math.MaxInt64: math.MaxInt32, math.MinInt64: math.MinInt32,
	} {
		if got := centralcloud.LeaseSeconds(lease); got != want {
			t.Errorf("%s: %d seconds, want %d", lease, got, want)
		}
	}
}

func TestBackoffDoublesUpToAnHour(t *testing.T) {
	t.Parallel()
	for reads, want := range map[int]time.Duration{
		-1: time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 11: 2048 * time.Second, 12: time.Hour, math.MaxInt: time.Hour,
	} {
		if got := centralcloud.Backoff(reads); got != want {
			t.Errorf("after %d reads %s, want %s", reads, got, want)
		}
	}
}

func FuzzDraftCheckKnowsJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `"\ud83d\ude00"`, `"\ud83d"`, `"\\u0000"`, `"\u0000"`, `"\ud83d\u0041"`, `"\`, `["\u12`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := centralcloud.Draft{Body: append(json.RawMessage{}, body...)}.Check()
		if err != nil && !errors.Is(err, centralcloud.ErrBadMessage) {
			t.Errorf("%q: %v, want %v", body, err, centralcloud.ErrBadMessage)
		}
		if err == nil && !json.Valid(body) {
			t.Errorf("%q was taken", body)
		}
	})
}
