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

// SumAsked merges what was asked at several times, or by several nodes. Gaps are
// right when these are in the order of time.
func SumAsked(all ...*Asked) *Asked {
	sum, at := &Asked{}, map[Sealed]int{}
	for _, a := range all {
		sum.Calls += a.Calls
		sum.Cost += a.Cost
		if a.Frequent > sum.Frequent {
			sum.Example, sum.Frequent = a.Example, a.Frequent
		}
		if sum.Bound == 0 || a.Bound != 0 && a.Bound < sum.Bound {
			sum.Bound = a.Bound
		}
		for i := range a.Questions {
			q := &a.Questions[i]
			if known, there := at[q.Sealed]; there {
				sum.Questions[known].add(q)
			} else {
				at[q.Sealed] = len(sum.Questions)
				sum.Questions = append(sum.Questions, *q)
			}
		}
	}
	slices.SortFunc(sum.Questions, func(a, b Question) int { return cmp.Compare(a.Sealed, b.Sealed) })
	return sum
}

// add adds what is known of the same question at another time.
func (q *Question) add(other *Question) {
	if gap := max(other.First-q.Last, q.First-other.Last); gap >= 0 {
		q.Gaps = q.Gaps.Plus(SketchOf(gap), 1)
	}
	q.Gaps = q.Gaps.Plus(other.Gaps, 1)
	q.Calls += other.Calls
	q.First, q.Last = min(q.First, other.First), max(q.Last, other.Last)
	q.Answers = [2]Sealed{min(q.Answers[0], other.Answers[0]), max(q.Answers[1], other.Answers[1])}
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

// Fair returns the questions that are a fair sample: all that is to know of them
// is known.
func (a *Asked) Fair() Questions { return a.Questions[:a.below()] }

// below counts the questions of the fair sample.
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
