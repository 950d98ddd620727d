package patterns

import (
	"fmt"
	"math"
	"testing"
	"time"

	"singularity/centralcloud"
)

// reported is a span in which a boot made so many calls, one in ten of them in
// vain, and sent all of them along.
func reported(start int64, calls int) *Span {
	arm := centralcloud.Arm{Provider: "p", Model: "m"}
	span := NewSpan(start)
	failures := int64(calls / 10)
	span.AddRow(centralcloud.Row{
		Key:      centralcloud.Key{Instance: "a", Boot: "b", Epoch: start, TaskType: "t", Arm: arm},
		Revision: 1, Counters: centralcloud.Counters{Calls: int64(calls) - failures, Errors: map[string]int64{"timeout": failures}},
	})
	for i := range calls {
		sample := centralcloud.Sample{ID: fmt.Sprintf("%d-%d/1/0", start, i), Boot: "b", At: time.Unix(start, 0), Call: centralcloud.Call{TaskType: "t", Arm: arm}}
		if i%10 == 0 {
			sample.ErrorClass = "timeout"
		}
		span.AddSample(sample)
	}
	return span
}

func TestSamplesThatAreLeftStandForThoseThatAreNot(t *testing.T) {
	t.Parallel()
	var evidence Evidence
	sizes := map[int64]int{0: 300, 300: 15_000, 600: 20_000}
	for _, start := range []int64{0, 300, 600} {
		evidence.Put(reported(start, sizes[start]))
	}
	kept := 0
	for start, d := range evidence.digests {
		kept += d.sampled()
		weights := map[bool]float64{}
		for _, p := range d.all() {
			for i := range p.samples {
				weights[p.samples[i].ErrorClass != ""] += p.samples[i].weight
			}
		}
		failures := float64(sizes[start] / 10)
		if math.Abs(weights[true]-failures) > 1e-6*failures || math.Abs(weights[false]-9*failures) > 1e-5*failures {
			t.Errorf("in span %d samples stand for %v calls, want %g failures and %g successes", start, weights, failures, 9*failures)
		}
		if start == 0 && d.sampled() != 300 {
			t.Errorf("of the span with few samples %d are left", d.sampled())
		}
	}
	if kept > mostSamples || kept < mostSamples-10 {
		t.Errorf("%d samples are kept, want %d", kept, mostSamples)
	}
}

func TestQuestionsOfASpanAreBounded(t *testing.T) {
	t.Parallel()
	for name, sites := range map[string]int{"many questions": 100, "many sites": 6000} {
		span := NewSpan(0)
		for site := range sites {
			repeats := centralcloud.Repeats{
				RepeatsKey: centralcloud.RepeatsKey{Instance: fmt.Sprint("i", site%partCount), Boot: "b", Workflow: "w", Step: fmt.Sprint("s", site)},
				Asked:      centralcloud.Asked{Calls: 64},
			}
			for q := range 64 {
				repeats.Questions = append(repeats.Questions, centralcloud.Question{Sealed: centralcloud.Sealed(q) << 58, Calls: 1})
			}
			span.AddRepeats(repeats)
		}
		var evidence Evidence
		evidence.Put(span)
		questions := 0
		for _, p := range evidence.digests[0].all() {
			for _, asked := range p.asked {
				questions += len(asked.Questions)
				if n, deviation := asked.Distinct(); math.Abs(n-64) > 3*deviation {
					t.Errorf("%s: a site has %g questions +- %g, want 64", name, n, deviation)
				}
			}
		}
		if questions > mostQuestions || questions == 0 {
			t.Errorf("%s: %d are kept, want at most %d", name, questions, mostQuestions)
		}
	}
}
