package centralcloud

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// RepeatsKey says what repeats are about: the successful calls that a boot made
// in one epoch from one step to one arm.
type RepeatsKey struct {
	Instance string `json:"instance_id"`
	Boot     string `json:"boot_id"`
	Epoch    int64  `json:"epoch"`
	Workflow string `json:"workflow"`
	Step     string `json:"step"`
	Arm
}

// Compare orders keys by epoch first.
func (k RepeatsKey) Compare(other RepeatsKey) int {
	return cmp.Or(cmp.Compare(k.Epoch, other.Epoch), strings.Compare(k.Instance, other.Instance), strings.Compare(k.Boot, other.Boot),
		strings.Compare(k.Workflow, other.Workflow), strings.Compare(k.Step, other.Step), k.Arm.Compare(other.Arm))
}

// Repeats says which questions were asked how often. Like a [Row] it is the whole
// of its key, and the highest revision counts.
type Repeats struct {
	RepeatsKey
	Revision int64 `json:"revision"` // the number of calls
	Asked
}

func (r *Repeats) check() error {
	var problems []error
	if r.Instance == "" || r.Boot == "" || r.Model == "" || r.Provider == "" {
		problems = append(problems, errors.New("instance_id, boot_id, provider or model is missing"))
	}
	if r.Epoch%EpochSeconds != 0 || r.Epoch < 0 {
		problems = append(problems, fmt.Errorf("epoch %d is no multiple of %d", r.Epoch, EpochSeconds))
	}
	if r.Revision <= 0 {
		problems = append(problems, fmt.Errorf("revision %d is not positive", r.Revision))
	}
	return errors.Join(append(problems, r.Asked.check())...)
}

// questionTally counts all questions of one key.
type questionTally struct {
	calls, cost int64
	questions   map[Sealed]*askings
}

// askings are the calls that asked one question.
type askings struct {
	times   []int64
	answers [2]Sealed
	run     string // of the last, by its time and id
	ranked  string
}

func (a *questionTally) add(id string, at time.Time, question, answer Sealed, cost int64) {
	a.calls++
	a.cost += cost
	q := a.questions[question]
	if q == nil {
		q = &askings{answers: [2]Sealed{answer, answer}}
		a.questions[question] = q
	}
	q.times = append(q.times, at.UnixMicro())
	q.answers = [2]Sealed{min(q.answers[0], answer), max(q.answers[1], answer)}
	if rank := at.UTC().Format(time.RFC3339Nano) + id; rank > q.ranked {
		q.run, _, _ = strings.Cut(id, "/")
		q.ranked = rank
	}
}

// sum lists the questions that are to go up.
func (a *questionTally) sum() Asked {
	sum := Asked{Calls: a.calls, Cost: a.cost}
	for _, sealed := range slices.Sorted(maps.Keys(a.questions)) {
		q := a.questions[sealed]
		slices.Sort(q.times)
		question := Question{Sealed: sealed, Calls: int64(len(q.times)), First: q.times[0], Last: q.times[len(q.times)-1], Answers: q.answers}
		for i := range q.times[1:] {
			question.Gaps = question.Gaps.Plus(SketchOf(q.times[i+1]-q.times[i]), 1)
		}
		if question.Calls > sum.Frequent {
			sum.Example, sum.Frequent = q.run, question.Calls
		}
		sum.Questions = append(sum.Questions, question)
	}
	sum.Shrink(lowQuestions, frequentQuestions)
	return sum
}
