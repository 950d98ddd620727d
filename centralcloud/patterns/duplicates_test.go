package patterns_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"singularity/centralcloud/patterns"
)

func TestAnswersThatDifferAreNotToBeKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 70)
	fickle := usual("a", small)
	fickle.questions, fickle.differ = 50, 0.3
	w.live(time.Hour, fickle, usual("b", small))
	all, found := w.find(patterns.DuplicateCall)
	if len(all) != 1 || len(found) != 1 {
		t.Fatalf("found %v, want one duplicate call", all)
	}
	f := found[0]
	if f.AnswersDiffer < 0.5 || f.TTLSeconds != 0 || f.SavedCentsPerHour != 0 || !strings.Contains(f.Text, "do not keep answers") {
		t.Errorf("found %+v, want that answers are not to be kept", f)
	}
}

func TestDuplicateCallsSayWhatKeepingAnswersIsWorth(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string]int{
		"all questions are listed": 6, "of many questions some are": 600,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 71)
			repeated := usual("a", small)
			repeated.calls, repeated.questions, repeated.fails = calls, 100*calls, 0
			w.live(2*time.Hour, repeated)
			all, found := w.find(patterns.DuplicateCall)
			if len(found) != 1 {
				t.Fatalf("found %v, want one duplicate call", all)
			}
			// 240 epochs of calls ask 2.4 times as much as there is to ask.
			n := 240 * float64(calls)
			rate := 1 - (1-math.Exp(-2.4))/2.4
			f := found[0]
			if math.Abs(f.Value-rate) > 0.06 || f.Interval[0] > rate || f.Interval[1] < rate {
				t.Errorf("the rate is %g, %v; want about %g", f.Value, f.Interval, rate)
			}
			// A call costs 0.1 cents.
			if want := rate * n * 0.1 / 2; math.Abs(f.SavedCentsPerHour-want) > 0.15*want {
				t.Errorf("%g cents an hour are saved, want about %g", f.SavedCentsPerHour, want)
			}
			// The time to the next call of the same is exponential, but that it ends with
			// the two hours.
			if f.TTLSeconds < 3000 || f.TTLSeconds > 6000 {
				t.Errorf("answers are to be kept for %g s, want some 4500", f.TTLSeconds)
			}
			if f.Example == "" || f.AnswersDiffer != 0 {
				t.Errorf("found %+v, want an example, and no answers that differ", f)
			}
		})
	}
}
