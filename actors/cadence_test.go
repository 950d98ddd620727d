package actors

import (
	"testing"
	"time"
)

func TestSweepsGetRarerUnlessSomethingMayBeMissed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		cadence      cadence
		present      time.Duration
		waits, told  bool
		next, always time.Duration // at once, and in the long run
	}{
		{"alone", aloneCadence, time.Second, false, false, 2 * time.Second, 30 * time.Second},
		{"alone, and something waits", aloneCadence, time.Second, true, false, 2 * time.Second, 30 * time.Second},
		{"others are not heard", sharedCadence, time.Second, false, false, 2 * time.Second, 5 * time.Second},
		{"others are not heard, and something waits", sharedCadence, time.Second, true, false, 250 * time.Millisecond, 250 * time.Millisecond},
		{"others tell", sharedCadence, 4 * time.Second, false, true, 8 * time.Second, time.Minute},
		{"others tell, and something waits here", sharedCadence, time.Minute, true, true, 5 * time.Second, 5 * time.Second},
		{"others are not heard any more", sharedCadence, time.Minute, false, false, 5 * time.Second, 5 * time.Second},
	}
	for _, test := range tests {
		if next := test.cadence.next(test.present, test.waits, test.told); next != test.next {
			t.Errorf("%s: the next sweep after %s comes after %s, want %s", test.name, test.present, next, test.next)
		}
		every := test.present
		for range 20 {
			every = test.cadence.next(every, test.waits, test.told)
		}
		if every != test.always {
			t.Errorf("%s: in the long run there is a sweep each %s, want %s", test.name, every, test.always)
		}
	}
}
