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

// EncodeSnapshot returns a message with all that there is to know.
func EncodeSnapshot(at time.Time, learnings ...Learning) (Draft, error) {
	snapshot := Learning{Type: TypeSnapshot, MadeAt: at, Learnings: []json.RawMessage{}}
	for _, learning := range learnings {
		draft, err := learning.Encode()
		if err != nil {
			return Draft{}, err
		}
		snapshot.Learnings = append(snapshot.Learnings, draft.Body)
	}
	return snapshot.Encode()
}
