package soak

import (
	"context"
	"testing"
	"time"
)

const (
	// patience bounds every wait, on a machine that is busy with more than this.
	patience = 2 * time.Minute
	// lookEvery is how often a wait looks that no event ends.
	lookEvery = 10 * time.Millisecond
)

// inFull is a bound of how long something may take: in short, where that says
// more of the machine than of the nodes, it is only awaited.
func inFull(limit time.Duration) time.Duration {
	if *full {
		return limit
	}
	return patience
}

func bounded(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), patience)
}

// await looks again and again until there is nothing left to wait for: look
// returns what, or an empty string.
func await(t testing.TB, look func(context.Context) (missing string, err error)) {
	t.Helper()
	if missing := awaitFor(t, patience, look); missing != "" {
		t.Fatalf("waited %s in vain: %s", patience, missing)
	}
}

// awaitFor is await with another bound, at which it returns what is missing.
func awaitFor(t testing.TB, limit time.Duration, look func(context.Context) (missing string, err error)) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	missing := "nothing was looked at"
	for {
		switch found, err := look(ctx); {
		case err != nil && ctx.Err() == nil:
			missing = err.Error()
		case err == nil && found == "":
			return ""
		case err == nil:
			missing = found
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return missing
		}
	}
}

// pass lets time go by: how long a fault lasts.
func pass(t testing.TB, duration time.Duration) {
	t.Helper()
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
