package patterns

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"singularity/centralcloud"
)

const (
	duplicatesRule = 1
	// duplicatesSize is how many calls a site needs.
	duplicatesSize = 100
	// duplicatesRate is the share of calls that ask what was asked before, at least.
	duplicatesRate = 0.05
	// duplicatesSure is the interval in standard deviations: 99 %.
	duplicatesSure = 2.58
	// duplicatesDiffer is the share of repeated questions with answers that differ,
	// above which answers are not to be kept.
	duplicatesDiffer = 0.01
	// duplicatesSample is how many repeated questions a fair sample has at least.
	duplicatesSample = 20
)

// duplicateCalls finds the steps that ask a model what it answered before, and
// says how long an answer is to be kept so that nine of ten repetitions find it.
func duplicateCalls(v *view, _ time.Time) []Finding {
	var found []Finding
	sites := v.asked()
	for _, site := range slices.SortedFunc(maps.Keys(sites), siteKey.compare) {
		asked := sites[site]
		n := float64(asked.Calls)
		if n < v.size(duplicatesSize) {
			continue
		}
		distinct, deviation := asked.Distinct()
		rate := min(max(1-distinct/n, 0), 1)
		low, high := centralcloud.Wilson(rate, n, v.sure(duplicatesSure))
		spread := v.sure(duplicatesSure) * deviation / n // since not all questions are listed
		low, high = rate-math.Hypot(rate-low, spread), rate+math.Hypot(high-rate, spread)
		if !(low > duplicatesRate) {
			continue
		}
		again := repetitionsOf(asked)
		f := Finding{
			Kind: DuplicateCall, Name: name(DuplicateCall, site.workflow, site.step, site.arm.String()), Rule: duplicatesRule,
			N: asked.Calls, Value: rounded(rate), Interval: [2]float64{rounded(low), rounded(min(1, high))},
			Threshold: duplicatesRate, Unit: "share of calls", FirstSeen: again.first,
			Workflow: site.workflow, Step: site.step, Arm: site.arm, Example: asked.Example,
			AnswersDiffer: rounded(again.differing),
		}
		f.Text = fmt.Sprintf("%g %% of the calls of step %s to %s ask what was asked before", percent(rate), site.stepKey, site.arm)
		if again.differing > duplicatesDiffer {
			f.Text += fmt.Sprintf("; of such questions, %g %% were not always answered alike: do not keep answers", percent(again.differing))
		} else {
			f.TTLSeconds = rounded(again.gap.Seconds())
			f.SavedCentsPerHour = rounded(float64(asked.Cost) / nanosInACent * rate / max(again.length, SpanLength).Hours())
			f.Text += fmt.Sprintf("; answers kept for %s would serve nine of ten of them and save up to %g cents an hour",
				again.gap.Round(time.Millisecond), f.SavedCentsPerHour)
		}
		found = append(found, f)
	}
	return found
}

// repetitions is what questions tell that were asked more than once.
type repetitions struct {
	questions int64
	first     time.Time
	length    time.Duration // from the first call to the last
	gap       time.Duration // to the next call, at nine of ten
	differing float64       // share of the questions whose answers differ
}

// repetitionsOf looks at the fair sample, unless hardly any of it was asked again.
// Of the other questions only such times are known as they were frequent in.
func repetitionsOf(asked *centralcloud.Asked) repetitions {
	again := repetitionsAmong(asked.Fair())
	if again.questions < duplicatesSample {
		again = repetitionsAmong(asked.Questions)
	}
	return again
}

func repetitionsAmong(questions centralcloud.Questions) repetitions {
	var gaps durations
	var differing share
	first, last, begin := int64(math.MaxInt64), int64(0), int64(math.MaxInt64)
	for _, q := range questions {
		begin, last = min(begin, q.First), max(last, q.Last)
		if q.Calls < 2 {
			continue
		}
		first = min(first, q.First)
		at := time.UnixMicro(q.First)
		differing.add(at, 1, q.Answers[0] != q.Answers[1])
		for micros, n := range q.Gaps.All() {
			gaps.add(at, float64(micros), float64(n))
		}
	}
	again := repetitions{questions: differing.samples, first: time.UnixMicro(min(first, last)), length: time.Duration(last-begin) * time.Microsecond}
	if differing.samples > 0 {
		again.differing = differing.rate()
	}
	if len(gaps.list) > 0 {
		gaps.sort()
		again.gap = time.Duration(gaps.at(0.9)) * time.Microsecond
	}
	return again
}
