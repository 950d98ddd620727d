package patterns

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

const (
	errorsRule = 1
	// errorsLately is the time that is held against what came before.
	errorsLately = time.Hour
	// errorsSize is how often an error occurs lately, at least.
	errorsSize = 10
	// errorsBefore is how many calls there were before, at least: else there is
	// nothing to hold it against.
	errorsBefore = 100
	// errorsFactor is how many times as frequent it has become, at least.
	errorsFactor = 2
	// errorsSure is the interval in standard deviations.
	errorsSure = 3
)

// errorKey is a kind of error of a model at a kind of task.
type errorKey struct {
	armTask
	class, print string
}

func (k errorKey) compare(other errorKey) int {
	return cmp.Or(k.armTask.compare(other.armTask), strings.Compare(k.class, other.class), strings.Compare(k.print, other.print))
}

// spell is how often an error occurred, lately and before.
type spell struct {
	lately, before share
	example        string
}

// newErrors finds the errors, by fingerprint, that a model did not have at a task
// before the last hour, or far more seldom for each call.
func newErrors(v *view, now time.Time) []Finding {
	since := time.Unix(SpanOf(now.Add(-errorsLately).Unix()), 0)
	spells := map[errorKey]*spell{}
	for call, weight := range v.calls() {
		if call.ErrorClass == "" || call.ErrorClass == centralcloud.Cancelled {
			continue
		}
		s := entry(spells, errorKey{armTask{call.Arm, call.TaskType}, call.ErrorClass, call.ErrorPrint})
		if call.At.Before(since) {
			s.before.add(call.At, weight, true)
		} else {
			s.lately.add(call.At, weight, true)
		}
		s.example = runOf(call)
	}
	lately, before := map[armTask]float64{}, map[armTask]float64{}
	for start, totals := range v.totals() {
		for at, sum := range totals {
			if start < since.Unix() {
				before[at] += float64(sum.tried())
			} else {
				lately[at] += float64(sum.tried())
			}
		}
	}
	var found []Finding
	for _, key := range slices.SortedFunc(maps.Keys(spells), errorKey.compare) {
		s := spells[key]
		if s.lately.size() < v.size(errorsSize) || before[key.armTask] < v.size(errorsBefore) || lately[key.armTask] == 0 {
			continue
		}
		ratio, low, high := riseOf(s, lately[key.armTask], before[key.armTask], v.sure(errorsSure))
		if low <= errorsFactor {
			continue
		}
		what, first := "became frequent", s.before.first
		if s.before.samples == 0 {
			what, first = "is new", s.lately.first
		}
		found = append(found, Finding{
			Kind: NewError, Name: name(NewError, key.class, key.print, key.arm.String(), key.task), Rule: errorsRule,
			N: s.before.samples + s.lately.samples, Value: rounded(ratio), Interval: [2]float64{rounded(low), rounded(high)},
			Threshold: errorsFactor, Unit: "times as frequent", FirstSeen: first,
			Text: fmt.Sprintf("an error of class %s of %s at %s %s: %g %% of the calls of the last hour, before %g %%; run %s had it",
				key.class, key.arm, key.task, what, percent(s.lately.weight/lately[key.armTask]), percent(s.before.weight/before[key.armTask]), s.example),
			Arm: key.arm, TaskType: key.task, ErrorClass: key.class, ErrorPrint: key.print, Example: s.example,
		})
	}
	return found
}

// riseOf is how many times as frequent an error has become among so many calls,
// with the interval of that: both frequencies are those of rare events, half an
// event added, and the logarithm of their ratio is about normal.
func riseOf(s *spell, lately, before, sure float64) (ratio, low, high float64) {
	ratio = (s.lately.weight + 0.5) / lately / ((s.before.weight + 0.5) / before)
	spread := math.Exp(sure * math.Sqrt(1/(s.lately.size()+0.5)+1/(s.before.size()+0.5)))
	return ratio, ratio / spread, ratio * spread
}
