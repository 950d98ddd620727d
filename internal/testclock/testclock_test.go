package testclock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"singularity/internal/testclock"
)

func TestMidnightIsWaitedForWhenItIsNear(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 13*60*60)
	for _, test := range []struct{ now, want string }{
		{"2026-02-28T12:00:00Z", "0s"}, {"2026-02-28T23:57:00Z", "0s"}, {"2026-02-28T23:58:30Z", "1m30s"}, {"2026-03-01T00:00:00Z", "0s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, test.now)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			testclock.AwayFromMidnight(t, now.In(east))
			if waited := time.Since(began).String(); waited != test.want {
				t.Errorf("at %s: waited %s, want %s", test.now, waited, test.want)
			}
		})
	}
}
