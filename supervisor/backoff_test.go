package supervisor

import (
	"math"
	"testing"
	"time"
)

func TestBackoffDelay(t *testing.T) {
	t.Parallel()
	lowest, middle, highest := 0.0, 0.5, math.Nextafter(1, 0)
	tests := []struct {
		name    string
		backoff Backoff
		n       int
		rnd     float64
		want    time.Duration
	}{
		{"first by default", Backoff{}, 0, lowest, 100 * time.Millisecond},
		{"doubles by default", Backoff{}, 3, lowest, 800 * time.Millisecond},
		{"capped by default", Backoff{}, 6, lowest, 5 * time.Second},
		{"half of the default jitter", Backoff{}, 0, middle, 90 * time.Millisecond},
		{"all of the default jitter", Backoff{}, 0, highest, 80 * time.Millisecond},
		{"no jitter", Backoff{Jitter: -1}, 0, highest, 100 * time.Millisecond},
		{"jitter below the cap", Backoff{Jitter: 0.5}, 9, middle, 3750 * time.Millisecond},
		{"own factor", Backoff{Min: time.Second, Max: time.Hour, Factor: 10}, 2, lowest, 100 * time.Second},
		{"constant", Backoff{Min: time.Second, Factor: 1}, 50, lowest, time.Second},
		{"Min above the default Max", Backoff{Min: time.Minute}, 3, lowest, time.Minute},
		{"far beyond any duration", Backoff{}, math.MaxInt, lowest, 5 * time.Second},
		{"the longest duration", Backoff{Max: math.MaxInt64}, math.MaxInt, lowest, math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.backoff.Delay(tt.n, func() float64 { return tt.rnd }).Round(time.Microsecond); got != tt.want.Round(time.Microsecond) {
				t.Errorf("Delay(%d) with random %g is %s, want %s", tt.n, tt.rnd, got, tt.want)
			}
		})
	}
}

// A child that never comes up must use up its restarts within the window, or it
// would be tried forever and nobody above would hear of it.
func TestDefaultBackoffExhaustsDefaultIntensity(t *testing.T) {
	t.Parallel()
	cfg := Config{}.withDefaults()
	var total time.Duration
	for n := range cfg.MaxRestarts {
		total += Backoff{}.Delay(n, func() float64 { return 0 })
	}
	if total >= cfg.Window {
		t.Errorf("%d restarts take %s, want less than the window of %s", cfg.MaxRestarts, total, cfg.Window)
	}
}

func TestIntensityCountsWithinItsWindow(t *testing.T) {
	t.Parallel()
	const limit, window = 2, 10 * time.Second
	epoch := time.Unix(0, 0)
	var in intensity
	for _, tt := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true},
		{4 * time.Second, true},
		{9 * time.Second, false},
		{10 * time.Second, true}, // the first is out of the window, the refused one never counted
		{13 * time.Second, false},
		{14 * time.Second, true},
	} {
		if got := in.allow(epoch.Add(tt.at), limit, window); got != tt.want {
			t.Errorf("restart after %s is allowed: %t, want %t", tt.at, got, tt.want)
		}
	}
}
