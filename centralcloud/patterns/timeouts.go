package patterns

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"singularity/centralcloud"
)

const (
	timeoutsRule   = 1
	timeoutsSize   = centralcloud.TimeoutSize
	timeoutsShare  = centralcloud.TimeoutShare
	timeoutsMargin = centralcloud.TimeoutMargin
	// timeoutsSure is the interval in standard deviations: 95 %.
	timeoutsSure = 1.96

	classTimeout = centralcloud.TimedOut
)

// waits are how long calls of one kind took, and those that were given up.
type waits struct {
	answers durations
	givenUp durations
	counted int64 // of those that were given up
}

// timeouts finds, for each model that had calls given up, how long calls should
// have. A call that was given up would have taken longer than that, which is what
// Kaplan and Meier's estimate makes of it: otherwise each timeout would call for
// a shorter one.
func timeouts(v *view, _ time.Time) []Finding {
	kinds := map[armTask]*waits{}
	for key, t := range v.sums() {
		sum, w := t.counters(), entry(kinds, key)
		w.counted = sum.Errors[classTimeout]
		for micros, n := range sum.Latency.All() {
			w.answers.add(time.Unix(t.first, 0), float64(micros), float64(n))
		}
	}
	for call := range v.calls() {
		if call.ErrorClass == classTimeout {
			for micros := range centralcloud.SketchOf(call.Latency).All() { // as exact as the answers are
				entry(kinds, armTask{call.Arm, call.TaskType}).givenUp.add(call.At, float64(micros), 1)
			}
		}
	}
	var found []Finding
	for _, key := range slices.SortedFunc(maps.Keys(kinds), armTask.compare) {
		w := kinds[key]
		if w.answers.weight < v.size(timeoutsSize) || w.counted == 0 || len(w.givenUp.list) == 0 {
			continue
		}
		n := w.answers.weight + float64(w.counted)
		lowRank, highRank := ranks(timeoutsShare, n, v.sure(timeoutsSure))
		least, atLeast := w.done(timeoutsShare)
		low, _ := w.done(lowRank)
		high, _ := w.done(highRank)
		words := ""
		if atLeast {
			words = "at least "
		}
		found = append(found, Finding{
			Kind: FitTimeout, Name: name(FitTimeout, key.arm.String(), key.task), Rule: timeoutsRule,
			N: int64(n), Value: millis(timeoutsMargin * least), Interval: [2]float64{millis(timeoutsMargin * low), millis(timeoutsMargin * high)},
			Unit: "ms", FirstSeen: w.givenUp.first,
			Text: fmt.Sprintf("%g %% of the calls of %s for %s are given up; a timeout of %s%s would fit, half as much again as %g %% of them need",
				percent(float64(w.counted)/n), key.arm, key.task, words, briefly(timeoutsMargin*least), 100*timeoutsShare),
			Arm: key.arm, TaskType: key.task, ErrorClass: classTimeout,
		})
	}
	return found
}

func millis(micros float64) float64 { return rounded(micros / 1000) }

// done is within how many microseconds a share of all calls would be answered if
// none was given up. It is atLeast that when too many of them were.
func (w *waits) done(q float64) (micros float64, atLeast bool) {
	w.answers.sort()
	w.givenUp.sort()
	each := float64(w.counted) / float64(len(w.givenUp.list)) // for which a sample stands
	return centralcloud.Survival(q, w.answers.all(1), w.givenUp.all(each))
}
