package centralcloud

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Asked sums up which questions were asked how often. Sums can be merged. It lists
// the questions with the lowest seals, all up to Bound, and those that were asked
// most often: the former are a fair sample, as which they are is as good as drawn
// by lot but the same for all nodes and times, and the latter are where most
// repetitions are.
type Asked struct {
	Calls int64  `json:"calls"`
	Cost  int64  `json:"cost_nanodollars"`
	Bound Sealed `json:"bound,omitzero"` // all questions below it are listed; 0 when all are
	// Questions are in order.
	Questions Questions `json:"questions"`
	// Example is the run that asked the most frequent question last, and Frequent how
	// often it is known to have been asked.
	Example  string `json:"example,omitempty"`
	Frequent int64  `json:"frequent,omitempty"`
}

// Question is one of those that are listed. What is known of it is of those times in which it was
// listed: it may have been asked more often.
type Question struct {
	Sealed Sealed
	Calls  int64
	First  int64 // Unix times in microseconds
	Last   int64
	Gaps   Sketch // from one call to the next
	// Answers are the lowest and the highest of the answers, sealed. When all were
	// the same, so are these.
	Answers [2]Sealed
}

const (
	// lowQuestions and frequentQuestions are how many a node lists of an epoch.
	lowQuestions      = 64
	frequentQuestions = 32
)

// Merge adds what was asked at other times or by others. Gaps are right when it
// is done in the order of time.
func (a *Asked) Merge(other *Asked) {
	a.Calls += other.Calls
	a.Cost += other.Cost
	if other.Frequent > a.Frequent {
		a.Example, a.Frequent = other.Example, other.Frequent
	}
	if a.Bound == 0 || other.Bound != 0 && other.Bound < a.Bound {
		a.Bound = other.Bound
	}
	merged := make(Questions, 0, len(a.Questions)+len(other.Questions))
	own, others := a.Questions, other.Questions
	for len(own) > 0 && len(others) > 0 {
		switch {
		case own[0].Sealed < others[0].Sealed:
			merged, own = append(merged, own[0]), own[1:]
		case own[0].Sealed > others[0].Sealed:
			merged, others = append(merged, others[0]), others[1:]
		default:
			merged = append(merged, own[0].with(&others[0]))
			own, others = own[1:], others[1:]
		}
	}
	a.Questions = append(append(merged, own...), others...)
}

// with is the question with what was asked at other times.
func (q Question) with(other *Question) Question {
	if gap := max(other.First-q.Last, q.First-other.Last); gap >= 0 {
		q.Gaps = q.Gaps.Plus(SketchOf(gap), 1)
	}
	q.Gaps = q.Gaps.Plus(other.Gaps, 1)
	q.Calls += other.Calls
	q.First, q.Last = min(q.First, other.First), max(q.Last, other.Last)
	q.Answers = [2]Sealed{min(q.Answers[0], other.Answers[0]), max(q.Answers[1], other.Answers[1])}
	return q
}

// Shrink leaves so many of the questions with the lowest seals, and so many of
// those that were asked most often.
func (a *Asked) Shrink(low, frequent int) {
	below := a.below()
	if below <= low && len(a.Questions)-below <= frequent {
		return
	}
	if below > low {
		a.Bound = a.Questions[low].Sealed
		below = low
	}
	rest := slices.SortedFunc(slices.Values(a.Questions[below:]), func(a, b Question) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Sealed, b.Sealed))
	})
	rest = rest[:min(len(rest), frequent)]
	slices.SortFunc(rest, func(a, b Question) int { return cmp.Compare(a.Sealed, b.Sealed) })
	a.Questions = append(slices.Clone(a.Questions[:below]), rest...)
}

// below counts the questions that are a fair sample.
func (a *Asked) below() int {
	if a.Bound == 0 {
		return len(a.Questions)
	}
	below, _ := slices.BinarySearchFunc(a.Questions, a.Bound, func(q Question, bound Sealed) int { return cmp.Compare(q.Sealed, bound) })
	return below
}

// Distinct is about how many questions there were, and the standard error of
// that: 0 when all are listed.
func (a *Asked) Distinct() (n, deviation float64) {
	below := float64(a.below())
	if a.Bound == 0 {
		return below, 0
	}
	if below == 0 {
		return 0, math.Inf(1)
	}
	share := float64(a.Bound) / math.Exp2(64)
	return below / share, math.Sqrt(below*(1-share)) / share
}

func (a *Asked) check() error {
	if a.Calls <= 0 || a.Cost < 0 || int64(len(a.Questions)) > a.Calls {
		return fmt.Errorf("%d questions in %d calls for %d cannot be true", len(a.Questions), a.Calls, a.Cost)
	}
	if len(a.Questions) > lowQuestions+frequentQuestions {
		return fmt.Errorf("%d questions are listed; expected at most %d", len(a.Questions), lowQuestions+frequentQuestions)
	}
	for i := range a.Questions {
		q := &a.Questions[i]
		if i > 0 && q.Sealed <= a.Questions[i-1].Sealed {
			return fmt.Errorf("question %d is not in order", i)
		}
		if q.Calls <= 0 || q.Calls > a.Calls || q.First > q.Last || q.Answers[0] > q.Answers[1] {
			return fmt.Errorf("question %d cannot be true", i)
		}
	}
	return nil
}
