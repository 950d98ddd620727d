package centralcloud_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"singularity/centralcloud"
)

// waits are sketches of calls that take a second on average, of which those are given
// up that would take longer than some time.
func waits(calls int, patience time.Duration) (answered, givenUp centralcloud.Sketch) {
	random := rand.New(rand.NewPCG(1, 1))
	for range calls {
		micros := int64(random.ExpFloat64() * 1e6)
		if limit := patience.Microseconds(); limit > 0 && micros > limit {
			givenUp = givenUp.Plus(centralcloud.SketchOf(limit), 1)
		} else {
			answered = answered.Plus(centralcloud.SketchOf(micros), 1)
		}
	}
	return answered, givenUp
}

func TestTimeoutFitsAllButTheLastCalls(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		calls     int
		patience  time.Duration
		low, high float64 // seconds
	}{
		"none given up":                 {20_000, 0, 7.2, 8.8}, // 1.5 x ln 200
		"given up late":                 {20_000, 5500 * time.Millisecond, 7.2, 8.8},
		"too many given up to know":     {20_000, 2 * time.Second, 2.9, 3.1}, // half as much again as was waited
		"too few to say":                {900, 0, 0, 0},
		"too few answers, all given up": {5000, time.Millisecond, 0, 0},
	} {
		answered, givenUp := waits(test.calls, test.patience)
		if got := centralcloud.FitTimeout(answered, givenUp).Seconds(); got < test.low || got > test.high {
			t.Errorf("%s: %.2f s, want %.1f to %.1f", name, got, test.low, test.high)
		}
	}
	quick := centralcloud.Sketch{{Bucket: 10, Count: 5000}}
	if got := centralcloud.FitTimeout(quick, nil); got != time.Second {
		t.Errorf("of answers that come at once: %s, want a second", got)
	}
}

func TestTimeoutThatCutsTooMuchGrowsAndDoesNotShrinkByItself(t *testing.T) {
	t.Parallel()
	timeout := 500 * time.Millisecond
	for range 12 {
		answered, givenUp := waits(20_000, timeout)
		next := centralcloud.FitTimeout(answered, givenUp)
		if next < timeout {
			t.Fatalf("%s follows %s", next, timeout)
		}
		if next < timeout*11/10 && timeout < 5*time.Second {
			t.Fatalf("%s follows %s, which gives up many", next, timeout)
		}
		timeout = next
		if seconds := timeout.Seconds(); seconds > 7 {
			if math.Abs(seconds-8) > 0.9 {
				t.Errorf("it settles at %s, want about 8 s", timeout)
			}
			return
		}
	}
	t.Errorf("it is %s at the end, want about 8 s", timeout)
}
