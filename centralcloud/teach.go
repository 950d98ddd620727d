package centralcloud

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// changedShare is below which share of its rows a policy is taught by what has
// changed.
const changedShare = 0.2

// TeachPolicy returns the learnings that carry a policy, of which none may be
// missing: the rows that are not what they were in the policy before it, which may
// be nil, or all of them when that is much of the policy.
func TeachPolicy(policy, before *Policy) ([]Learning, error) {
	head := rules{Version: policy.Version, MadeAt: policy.MadeAt, Mode: policy.Mode, Reference: policy.Reference}
	if policy.Budget != nil {
		head.LeaseCents = policy.Budget.LeaseCents
	}
	rows := make([]*PolicyRow, len(policy.Rows))
	for i := range policy.Rows {
		rows[i] = &policy.Rows[i]
	}
	var gone []Cell
	if before != nil {
		if changed, missing := policy.changes(before); float64(len(changed)+len(missing)) < changedShare*float64(len(rows)) {
			head.Base, rows, gone = &edition{before.Version, before.MadeAt}, changed, missing
		}
	}
	parts, err := head.pack(rows, gone)
	if err != nil {
		return nil, err
	}
	learnings := make([]Learning, len(parts))
	for i, part := range parts {
		document, err := json.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("encode policy %d: %w", policy.Version, err)
		}
		learnings[i] = Learning{Type: TypeModelRouting, Version: policy.Version, MadeAt: policy.MadeAt, RoutingRules: document}
	}
	return learnings, nil
}

// changes returns the rows by which nodes do otherwise than by an earlier policy,
// and the cells that have no row any more.
func (p *Policy) changes(before *Policy) (changed []*PolicyRow, gone []Cell) {
	earlier := make(map[Cell]*PolicyRow, len(before.Rows))
	for i := range before.Rows {
		earlier[before.Rows[i].Cell()] = &before.Rows[i]
	}
	for i := range p.Rows {
		row := &p.Rows[i]
		if was, there := earlier[row.Cell()]; !there || !row.rulesAlike(was) {
			changed = append(changed, row)
		}
		delete(earlier, row.Cell())
	}
	return changed, slices.SortedFunc(maps.Keys(earlier), Cell.compare)
}

// rulesAlike reports whether nodes need not hear of a row that they know as another.
func (r PolicyRow) rulesAlike(other *PolicyRow) bool {
	rule := func(arm PolicyArm) PolicyArm {
		return PolicyArm{Arm: arm.Arm, Weight: arm.Weight, CostCents: arm.CostCents, Why: arm.Why, TimeoutMillis: arm.TimeoutMillis}
	}
	return slices.Equal(r.Fallback, other.Fallback) &&
		slices.EqualFunc(r.neededArms(), other.neededArms(), func(a, b PolicyArm) bool { return rule(a) == rule(b) })
}

func (r PolicyRow) neededArms() []PolicyArm {
	return slices.DeleteFunc(slices.Clone(r.Arms), func(arm PolicyArm) bool { return !r.needed(&arm) })
}

// Encode returns the message that carries the learning.
func (m Learning) Encode() (Draft, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return Draft{}, fmt.Errorf("encode learning of type %s: %w", m.Type, err)
	}
	return Draft{Body: body}, nil
}

// EncodeLearnings returns messages that carry one learning each, which queues take.
func EncodeLearnings(learnings ...Learning) ([]Draft, error) {
	drafts := make([]Draft, len(learnings))
	for i, learning := range learnings {
		draft, err := learning.Encode()
		if err == nil {
			err = draft.Check()
		}
		if err != nil {
			return nil, err
		}
		drafts[i] = draft
	}
	return drafts, nil
}

// TeachLesson returns the learning that carries a pattern, savings or benchmarks.
func TeachLesson(lesson Lesson, at time.Time) Learning {
	learning := Learning{Type: lesson.Type, Version: lesson.Version, MadeAt: at}
	switch lesson.Type {
	case TypePatternDiscovery:
		learning.PatternName, learning.PatternDefinition = lesson.Name, lesson.Document
		if lesson.Withdrawn() {
			learning.PatternDefinition = json.RawMessage("null")
		}
	case TypeCostOptimization:
		var saved struct {
			Estimated json.RawMessage `json:"estimated_savings"`
			Settings  json.RawMessage `json:"settings"`
		}
		_ = json.Unmarshal(lesson.Document, &saved) // of what is no savings there are none, and nobody takes that
		learning.EstimatedSavings, learning.Settings = saved.Estimated, saved.Settings
	case TypePerformanceBenchmark:
		learning.Benchmarks = lesson.Document
	}
	return learning
}

// EncodeSnapshots returns messages with all that there is to know: none for
// nothing, and several when one would be too large.
func EncodeSnapshots(at time.Time, learnings ...Learning) ([]Draft, error) {
	var drafts []Draft
	var parts []json.RawMessage
	size := 0
	finish := func() error {
		draft, err := Learning{Type: TypeSnapshot, MadeAt: at, Learnings: parts}.Encode()
		drafts, parts, size = append(drafts, draft), nil, 0
		return err
	}
	for _, learning := range learnings {
		draft, err := learning.Encode()
		if err == nil && size > 0 && size+len(draft.Body) > full {
			err = finish()
		}
		if err != nil {
			return nil, err
		}
		parts, size = append(parts, draft.Body), size+len(draft.Body)+1
	}
	if size > 0 {
		if err := finish(); err != nil {
			return nil, err
		}
	}
	return drafts, nil
}
