package centralcloud

import (
	"encoding/json"
	"fmt"
	"time"
)

// TeachPolicy returns the learning that carries a policy.
func TeachPolicy(policy *Policy) (Learning, error) {
	rules, err := policy.Encode()
	if err != nil {
		return Learning{}, err
	}
	return Learning{Type: TypeModelRouting, Version: policy.Version, MadeAt: policy.MadeAt, RoutingRules: rules}, nil
}

// Encode returns the message that carries the learning.
func (m Learning) Encode() (Draft, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return Draft{}, fmt.Errorf("encode learning of type %s: %w", m.Type, err)
	}
	return Draft{Body: body}, nil
}

// TeachLesson returns the learning that carries a pattern, or benchmarks.
func TeachLesson(lesson Lesson, at time.Time) Learning {
	learning := Learning{Type: lesson.Type, Version: lesson.Version, MadeAt: at}
	switch lesson.Type {
	case TypePatternDiscovery:
		learning.PatternName, learning.PatternDefinition = lesson.Name, lesson.Document
		if lesson.Withdrawn() {
			learning.PatternDefinition = json.RawMessage("null")
		}
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
