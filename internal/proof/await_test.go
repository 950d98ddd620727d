package proof

import (
	"testing"
	"time"
)

// patience bounds every wait, on a machine that is busy with more than this.
const patience = 2 * time.Minute

// await looks again and again until nothing is missing.
func await(t *testing.T, look func() (missing string)) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for missing := look(); missing != ""; missing = look() {
		select {
		case <-again.C:
		case <-late.C:
			t.Fatalf("waited %s in vain: %s", patience, missing)
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}
