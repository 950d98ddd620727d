package actors

import (
	"testing"
	"time"
)

func TestDurationsFallIntoTheirClasses(t *testing.T) {
	t.Parallel()
	var d Durations
	for _, duration := range []time.Duration{0, 5 * time.Millisecond, 6 * time.Millisecond, 30 * time.Second, 31 * time.Second} {
		d.add(duration)
	}
	if d.Counts[0] != 2 || d.Counts[1] != 1 || d.Counts[len(d.Counts)-1] != 1 || d.Longer != 1 {
		t.Errorf("%+v, want two of up to 5ms, one of up to 10ms, one of up to 30s, and one longer", d)
	}
	if want := 61*time.Second + 11*time.Millisecond; d.Sum != want {
		t.Errorf("they are %s together, want %s", d.Sum, want)
	}
}
