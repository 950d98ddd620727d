package patterns_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud/patterns"
)

// flaw is something that a cluster does wrong, and what is to be found of it.
type flaw struct {
	kind     patterns.Kind
	name     string
	spoil    func(*habit)
	value    float64 // about
	spread   float64
	hasWords string
	after    time.Duration // the flaw begins so much after the calls
}

var flaws = []flaw{
	{kind: patterns.FailingStep, name: "failing_step:w:a:p/small", spoil: func(h *habit) { h.fails = 0.3 }, value: 0.2, spread: 0.06, hasWords: "step w/a fails"},
	{kind: patterns.SlowStep, name: "slow_step:w:a:p/small", spoil: func(h *habit) { h.latency = 5 * time.Second }, value: 5, spread: 1, hasWords: "step w/a waits"},
	{
		kind: patterns.NewError, name: "new_error:auth:ab:p/small:math", after: 5 * time.Hour,
		spoil: func(h *habit) { h.class, h.print, h.fails = "auth", "ab", 0.1 }, value: 600, spread: 500, hasWords: "is new",
	},
	{
		kind: patterns.UselessRetry, name: "useless_retry:content:p/small:2",
		spoil: func(h *habit) { h.class, h.helps, h.calls = "content", 0, 24 }, value: 0, spread: 0.001, hasWords: "succeeds at 0 %",
	},
	{
		kind: patterns.FitTimeout, name: "timeout:p/small:math",
		spoil: func(h *habit) { h.timeout = 4 * time.Second }, value: 8700, spread: 2500, hasWords: "are given up",
	},
	{
		kind: patterns.DuplicateCall, name: "duplicate_call:w:a:p/small",
		spoil: func(h *habit) { h.questions = 200 }, value: 0.65, spread: 0.1, hasWords: "would serve nine of ten",
	},
}

func TestWhatGoesWrongIsFoundAndWithdrawnOnceItIsMended(t *testing.T) {
	t.Parallel()
	for i, flaw := range flaws {
		t.Run(string(flaw.kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, uint64(i+1))
			good := []habit{usual("a", small), usual("b", small), usual("a", large), usual("b", large)}
			bad := slices.Clone(good)
			flaw.spoil(&bad[0])
			w.live(flaw.after, good...)
			if all, _ := w.find(flaw.kind); len(all) > 0 {
				t.Fatalf("before it goes wrong, there is %v", all)
			}
			w.live(50*time.Minute, bad...)
			all, found := w.find(flaw.kind)
			if len(found) != 1 {
				t.Fatalf("found %v, of that kind %d; want 1", all, len(found))
			}
			f := found[0]
			if f.Name != flaw.name || math.Abs(f.Value-flaw.value) > flaw.spread || !strings.Contains(f.Text, flaw.hasWords) {
				t.Errorf("found %v, want %s of about %g that says %q", f, flaw.name, flaw.value, flaw.hasWords)
			}
			if f.N < 30 || f.Rule < 1 || f.Interval[0] > f.Value || f.Interval[1] < f.Value || f.FirstSeen.Before(w.now.Add(-time.Hour)) || f.FirstSeen.After(w.now) {
				t.Errorf("found %v, whose numbers cannot be", f)
			}
			w.live(patterns.Window, good...)
			if all, _ := w.find(flaw.kind); len(all) > 0 {
				t.Errorf("once it is mended, there still is %v", all)
			}
		})
	}
}

func TestNothingIsFoundWhereNothingStandsOut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		w := newWorld(t, 100+seed)
		frequent := usual("c", small)
		frequent.calls, frequent.fails, frequent.questions = 24, 0.06, 400_000
		for range 3 {
			w.live(time.Hour, usual("a", small), usual("b", small), usual("a", large), usual("b", large), frequent)
			if all, _ := w.find(""); len(all) > 0 {
				t.Errorf("seed %d: found %v", seed, all)
			}
		}
	}
}

func TestStepThatIsCalledMoreOftenThanThereAreSamplesDoesNotSeemToFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7)
	busy, calm := usual("busy", small), usual("calm", small)
	busy.calls, calm.calls = 3000, 30 // of the busy one, successes are sampled far more thinly than failures
	w.live(10*time.Minute, busy, calm)
	if all, _ := w.find(""); len(all) > 0 {
		t.Errorf("found %v", all)
	}
}

func TestFindingsDoNotDependOnTheOrderOfWhatIsReported(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	bad := usual("a", small)
	bad.fails, bad.latency, bad.class, bad.helps = 0.4, 6*time.Second, "content", 0
	w.live(time.Hour, bad, usual("b", small), usual("c", small))
	want := patterns.Find(w.evidence(), w.now)
	if len(want) < 3 {
		t.Fatalf("found %v, want three at least", want)
	}
	slices.Reverse(w.boots)
	if got := patterns.Find(w.evidence(), w.now); !reflect.DeepEqual(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestTimeoutsDoNotShrinkByThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 9)
	hasty := usual("a", small)
	hasty.calls, hasty.timeout = 30, 2*time.Second // a fifth of the calls would take longer
	w.live(time.Hour, hasty)
	_, found := w.find(patterns.FitTimeout)
	if len(found) != 1 || found[0].Value < 3000 || !strings.Contains(found[0].Text, "at least 3") {
		t.Errorf("found %v, want a timeout above the one that calls are given up at", found)
	}
}
