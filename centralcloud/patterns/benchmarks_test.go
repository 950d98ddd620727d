package patterns_test

import (
	"math"
	"testing"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/patterns"
)

func TestBenchmarksSayWhatEachModelIsWorth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	poor := usual("a", small)
	poor.fails, poor.class, poor.helps = 0.4, "unparsable", 0.6
	w.live(time.Hour, poor, usual("a", large))
	made := patterns.Compare(w.evidence(), w.now)
	if len(made.Models) != 4 || made.Models[0].TaskType != centralcloud.AnyTask || made.Models[2].TaskType != "math" || made.Rule < 1 {
		t.Fatalf("benchmarks are %+v, want those of two models, at all tasks and at one", made)
	}
	b := made.Models[2]
	if b.Arm != small || math.Abs(b.Success-0.6) > 0.05 || b.CI95[0] > 0.6 || b.CI95[1] < 0.6 || b.CI95[1]-b.CI95[0] > 0.1 {
		t.Errorf("of the small model: %+v, want a success of 0.6", b)
	}
	if b.CostCents != 0.1 || math.Abs(*b.CostPerSuccessCents-0.1/b.Success) > 0.001 || math.Abs(b.Errors["unparsable"]-0.4) > 0.05 {
		t.Errorf("of the small model: %+v, want 0.1 cents a call, more for a success, and 40 %% unparsable", b)
	}
	if b.P50Millis < 1000 || b.P95Millis < 3000 || b.P99Millis < b.P95Millis || b.Calls < 720 || b.N != b.Calls || b.FirstSeen.After(w.now.Add(-59*time.Minute)) {
		t.Errorf("of the small model: %+v, whose numbers cannot be", b)
	}
	if b := made.Models[3]; b.Arm != large || b.Success != 1 || math.Abs(b.Errors["overload"]-0.05) > 0.02 || b.N >= b.Calls {
		t.Errorf("of the large model: %+v, want a success of 1 and 5 %% overload", b)
	}
}

func TestModelThatNeverAnswersHasABenchmark(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 21)
	down := usual("a", small)
	down.fails, down.helps = 1, 0
	w.live(time.Minute, down)
	b := patterns.Compare(w.evidence(), w.now).Models[0]
	if b.N != 0 || b.CI95 != [2]float64{0, 1} || b.CostPerSuccessCents != nil || b.Errors["overload"] != 1 {
		t.Errorf("got %+v, want nothing known of its success, and errors only", b)
	}
}
