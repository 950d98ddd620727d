package patterns

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
)

const (
	savingsRule = 1
	// mostSavings is how many tasks there are at a time.
	mostSavings = 300
	// sameShare is by how much a share of money may differ that is as good as the same.
	sameShare = 0.05
)

// Savings say how much less money the calls of the last [Window] cost than if the
// reference had answered them all, and what to do about it.
type Savings struct {
	MadeAt        time.Time        `json:"made_at"`
	WindowSeconds int64            `json:"window_seconds"`
	Rule          int              `json:"rule_version"`
	PolicyVersion int64            `json:"policy_version"` // that says what a call of the reference costs
	Reference     centralcloud.Arm `json:"reference"`
	Money
	Tasks []TaskSavings `json:"tasks"` // by task type
}

// Money is what some calls cost, and what they would have cost with the reference.
// What is saved is negative where that is less.
type Money struct {
	Calls          int64   `json:"calls"` // that were answered
	SpentCents     float64 `json:"spent_cents"`
	ReferenceCents float64 `json:"reference_cents"`
	SavedCents     float64 `json:"saved_cents"`
	SavedShare     float64 `json:"saved_share"`
}

// TaskSavings are those at a kind of task.
type TaskSavings struct {
	TaskType string `json:"task_type"`
	Money
	SuccessVsReference float64          `json:"success_vs_ref"` // to be expected of the policy
	Favourite          centralcloud.Arm `json:"favourite"`      // that the policy chooses most
	Advice             string           `json:"advice"`
}

// Save says what was saved, given the hub's policy. Calls of models that it has no
// price of are left out, and so are tasks that it has no row for.
func Save(e *Evidence, policy *centralcloud.Policy, now time.Time) Savings {
	saved := Savings{
		MadeAt: now.UTC(), WindowSeconds: int64(Window / time.Second), Rule: savingsRule, PolicyVersion: policy.Version, Reference: policy.Reference,
		Tasks: []TaskSavings{},
	}
	rows, spent := rowsByTask(policy), map[string]*centralcloud.Counters{}
	whole, _ := e.views()
	for kind, c := range whole.sums() {
		if row := rows[kind.task]; row != nil && armIn(row, kind.arm) != nil {
			entry(spent, kind.task).Merge(centralcloud.Counters{Calls: c.sum.Calls, Cost: c.sum.Cost})
		}
	}
	for _, task := range slices.Sorted(maps.Keys(spent)) {
		row := rows[task]
		reference := armIn(row, policy.Reference)
		if reference == nil || spent[task].Calls == 0 {
			continue
		}
		one := TaskSavings{TaskType: task, SuccessVsReference: row.Expected.SuccessVsReference, Favourite: row.Arms[0].Arm, Advice: advice(row, reference)}
		one.Money = moneyOf(spent[task], reference)
		saved.Tasks = append(saved.Tasks, one)
		saved.Calls += one.Calls
		saved.SpentCents += one.SpentCents
		saved.ReferenceCents += one.ReferenceCents
	}
	saved.Money = saved.balanced()
	if len(saved.Tasks) > mostSavings {
		slices.SortStableFunc(saved.Tasks, func(a, b TaskSavings) int { return cmp.Compare(b.ReferenceCents, a.ReferenceCents) })
		saved.Tasks = saved.Tasks[:mostSavings]
		slices.SortFunc(saved.Tasks, func(a, b TaskSavings) int { return strings.Compare(a.TaskType, b.TaskType) })
	}
	return saved
}

func moneyOf(c *centralcloud.Counters, reference *centralcloud.PolicyArm) Money {
	const nanosInACent = 1e7
	return Money{Calls: c.Calls, SpentCents: float64(c.Cost) / nanosInACent, ReferenceCents: float64(c.Calls) * reference.CostCents}.balanced()
}

// balanced is the money with what is saved of it.
func (m Money) balanced() Money {
	m.SavedCents = m.ReferenceCents - m.SpentCents
	if m.ReferenceCents > 0 {
		m.SavedShare = fourDecimals(m.SavedCents / m.ReferenceCents)
	}
	m.SpentCents, m.ReferenceCents, m.SavedCents = rounded(m.SpentCents), rounded(m.ReferenceCents), rounded(m.SavedCents)
	return m
}

// advice says in a sentence what to do about the money of a task.
func advice(row *centralcloud.PolicyRow, reference *centralcloud.PolicyArm) string {
	favourite := &row.Arms[0]
	switch {
	case row.Judged == 0:
		return fmt.Sprintf("judge the answers: while nobody says how good they are, %s is asked", reference.Arm)
	case favourite.Arm == reference.Arm:
		return fmt.Sprintf("keep %s: no cheaper model is known to be about as good", reference.Arm)
	default:
		return fmt.Sprintf("use %s: a call costs %.3g cents instead of %.3g with %s, at a success of %.3g instead of %.3g",
			favourite.Arm, favourite.CostCents, reference.CostCents, reference.Arm, favourite.Success, reference.Success)
	}
}

// rowsByTask are the policy's rows for all buckets of a task.
func rowsByTask(policy *centralcloud.Policy) map[string]*centralcloud.PolicyRow {
	rows := map[string]*centralcloud.PolicyRow{}
	for i := range policy.Rows {
		if row := &policy.Rows[i]; row.Bucket == centralcloud.AnyBucket && len(row.Arms) > 0 {
			rows[row.TaskType] = row
		}
	}
	return rows
}

func armIn(row *centralcloud.PolicyRow, arm centralcloud.Arm) *centralcloud.PolicyArm {
	i := slices.IndexFunc(row.Arms, func(a centralcloud.PolicyArm) bool { return a.Arm == arm })
	if i < 0 {
		return nil
	}
	return &row.Arms[i]
}

// SavingsChange returns the savings as a lesson, when they are not what was taught of
// them, or when that is old.
func SavingsChange(taught []centralcloud.Lesson, saved Savings) ([]centralcloud.Lesson, error) {
	i := slices.IndexFunc(taught, func(l centralcloud.Lesson) bool { return l.Type == centralcloud.TypeCostOptimization })
	var version int64
	if i >= 0 {
		version = taught[i].Version
		before, err := DecodeSavings(taught[i].Document)
		if err != nil || saved.sameAs(before) {
			return nil, err
		}
	} else if saved.Calls == 0 {
		return nil, nil
	}
	models := map[string]centralcloud.Arm{}
	for _, task := range saved.Tasks {
		models[task.TaskType] = task.Favourite
	}
	document, err := centralcloud.EncodeSavings(saved, map[string]any{"models": models})
	if err != nil {
		return nil, err
	}
	return []centralcloud.Lesson{{Type: centralcloud.TypeCostOptimization, Version: version + 1, Document: document}}, nil
}

// sameAs reports that savings say what they said before.
func (s Savings) sameAs(before Savings) bool {
	same := func(a, b Money) bool {
		return math.Abs(a.SavedShare-b.SavedShare) <= sameShare && (a.Calls == 0) == (b.Calls == 0)
	}
	return s.Rule == before.Rule && s.MadeAt.Sub(before.MadeAt) < restated && s.Reference == before.Reference && same(s.Money, before.Money) &&
		slices.EqualFunc(s.Tasks, before.Tasks, func(a, b TaskSavings) bool {
			return a.TaskType == b.TaskType && a.Favourite == b.Favourite && same(a.Money, b.Money)
		})
}

// DecodeSavings reads what a lesson of savings has.
func DecodeSavings(document []byte) (Savings, error) {
	var lesson centralcloud.Savings
	var saved Savings
	err := json.Unmarshal(document, &lesson)
	if err == nil {
		err = json.Unmarshal(lesson.Estimated, &saved)
	}
	if err != nil {
		return saved, fmt.Errorf("decode savings: %w", err)
	}
	return saved, nil
}
