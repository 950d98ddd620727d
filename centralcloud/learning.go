package centralcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The types of messages in a [DownQueue]. Nodes keep those of other types, too.
const (
	TypeModelRouting         = "model_routing"
	TypePatternDiscovery     = "pattern_discovery"
	TypeCostOptimization     = "cost_optimization"
	TypePerformanceBenchmark = "performance_benchmark"
	TypeSnapshot             = "snapshot"
)

// Learning is a message to a node, with the fields of its type.
type Learning struct {
	Type string `json:"type"`
	// Version rises with each learning of the same type and name; a node ignores
	// what is not above its own. A message without one, as people write it by hand,
	// is news to everybody.
	Version int64     `json:"version,omitempty"`
	MadeAt  time.Time `json:"made_at,omitzero"`

	RoutingRules      json.RawMessage   `json:"routing_rules,omitempty"` // a [Policy], or a part of one as hubs send it
	PatternName       string            `json:"pattern_name,omitempty"`
	PatternDefinition json.RawMessage   `json:"pattern_definition,omitempty"` // null withdraws the pattern
	EstimatedSavings  json.RawMessage   `json:"estimated_savings,omitempty"`
	Settings          json.RawMessage   `json:"settings,omitempty"` // an object
	Benchmarks        json.RawMessage   `json:"benchmarks,omitempty"`
	Learnings         []json.RawMessage `json:"learnings,omitempty"` // all that a node has to know, of a snapshot
}

// Lesson is one thing that a message teaches.
type Lesson struct {
	Type     string
	Name     string // of a pattern; else empty
	Version  int64  // 0 when the message had none
	Document json.RawMessage

	part *rules // of a policy that is more than this; see [Assembly]
}

// Known reports whether a node of this version makes use of the lesson.
func (l Lesson) Known() bool {
	switch l.Type {
	case TypeModelRouting, TypePatternDiscovery, TypeCostOptimization, TypePerformanceBenchmark:
		return true
	default:
		return false
	}
}

// DecodeLearning reads a message. An error says that the message can never be
// applied.
func DecodeLearning(body []byte) ([]Lesson, error) {
	var message Learning
	if err := json.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("decode learning: %w", err)
	}
	if message.Type != TypeSnapshot {
		lesson, err := message.lesson(body)
		if err != nil {
			return nil, fmt.Errorf("decode learning of type %q: %w", message.Type, err)
		}
		return []Lesson{lesson}, nil
	}
	var lessons []Lesson
	for i, part := range message.Learnings {
		var inner Learning
		err := json.Unmarshal(part, &inner)
		if err == nil && inner.Type == TypeSnapshot {
			err = errors.New("it is a snapshot itself")
		}
		var lesson Lesson
		if err == nil {
			lesson, err = inner.lesson(part)
		}
		if err != nil {
			return nil, fmt.Errorf("decode learning %d of a snapshot: %w", i, err)
		}
		lessons = append(lessons, lesson)
	}
	return lessons, nil
}

func (m Learning) lesson(body []byte) (Lesson, error) {
	lesson := Lesson{Type: m.Type, Version: m.Version}
	if m.Type == "" || m.Version < 0 {
		return lesson, fmt.Errorf("type %q and version %d; expected a type, and a version above 0", m.Type, m.Version)
	}
	switch m.Type {
	case TypeModelRouting:
		policy, part, err := readRules(m.RoutingRules)
		if err != nil {
			return lesson, err
		}
		if m.Version == 0 || part != nil {
			lesson.Version = policy.Version
		}
		lesson.Document, lesson.part = m.RoutingRules, part
	case TypePatternDiscovery:
		if m.PatternName == "" || m.PatternDefinition == nil {
			return lesson, errors.New("pattern_name or pattern_definition is missing")
		}
		lesson.Name, lesson.Document = m.PatternName, m.PatternDefinition
	case TypeCostOptimization:
		var settings map[string]json.RawMessage
		if err := json.Unmarshal(m.Settings, &settings); err != nil || settings == nil {
			return lesson, errors.New("settings are missing, or no object")
		}
		document, err := json.Marshal(Savings{m.EstimatedSavings, settings})
		if err != nil {
			return lesson, err
		}
		lesson.Document = document
	case TypePerformanceBenchmark:
		if m.Benchmarks == nil {
			return lesson, errors.New("benchmarks are missing")
		}
		lesson.Document = m.Benchmarks
	default:
		lesson.Document = body
	}
	return lesson, nil
}

// Savings is what a hub says of saving money.
type Savings struct {
	Estimated json.RawMessage            `json:"estimated_savings,omitempty"`
	Settings  map[string]json.RawMessage `json:"settings"`
}

// EncodeSavings returns the document of a lesson of savings.
func EncodeSavings(estimated any, settings map[string]any) (json.RawMessage, error) {
	document, err := json.Marshal(struct {
		Estimated any            `json:"estimated_savings"`
		Settings  map[string]any `json:"settings"`
	}{estimated, settings})
	if err != nil {
		return nil, fmt.Errorf("encode savings: %w", err)
	}
	return document, nil
}

// readRules reads a policy, or a part of one, which then it returns, too. It refuses
// what would leave a node without a choice.
func readRules(document []byte) (*Policy, *rules, error) {
	if document == nil {
		return nil, nil, errors.New("routing_rules are missing")
	}
	var form struct {
		Part int `json:"part"`
	}
	if err := json.Unmarshal(document, &form); err != nil {
		return nil, nil, fmt.Errorf("decode policy: %w", err)
	}
	if form.Part == 0 { // as people write it
		policy, err := DecodePolicy(document)
		if err == nil {
			err = policy.check()
		}
		return policy, nil, err
	}
	var packed rules
	if err := json.Unmarshal(document, &packed); err != nil {
		return nil, nil, fmt.Errorf("decode policy: %w", err)
	}
	policy, err := packed.unpack()
	if err == nil {
		err = policy.check()
	}
	if err != nil || packed.Base == nil && packed.Parts == 1 {
		return policy, nil, err
	}
	return policy, &packed, nil
}

// readPolicy reads a whole policy.
func readPolicy(document []byte) (*Policy, error) {
	policy, part, err := readRules(document)
	if err == nil && part != nil {
		err = fmt.Errorf("routing_rules are a part of version %d; expected all of it", part.Version)
	}
	return policy, err
}

func (p *Policy) check() error {
	switch {
	case p.Rows == nil:
		return errors.New("routing_rules have no rows")
	case p.Version < 0:
		return fmt.Errorf("routing_rules have version %d; expected one above 0", p.Version)
	}
	for _, row := range p.Rows {
		for _, arm := range row.Arms {
			if arm.Weight < 0 || arm.Model == "" {
				return fmt.Errorf("routing_rules for %s: arm %q has weight %g; expected a model, and no weight below 0", row.TaskType, arm.Arm, arm.Weight)
			}
		}
	}
	return nil
}
