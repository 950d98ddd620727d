package hub

import (
	"context"
	"math"
	"slices"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// learn makes a policy, and publishes it when it chooses otherwise than the last
// one, or when that gets old.
func (t *tenure) learn(ctx context.Context) error {
	old := t.policy == nil || t.lead.At.Sub(t.policy.MadeAt) >= refresh
	if !t.news && !old {
		return nil
	}
	next := learner.Next(t.ledger, t.prices, t.Learner, t.policy, t.lead.At)
	same := t.policy != nil && sameChoices(t.policy, next)
	t.news = !same // weights may be on their way still
	if same && !old {
		return nil
	}
	learning, err := centralcloud.TeachPolicy(next)
	if err != nil {
		return err
	}
	message, err := learning.Encode()
	if err != nil {
		return err
	}
	if err := message.Check(); err != nil {
		t.Logger.ErrorContext(ctx, "a policy cannot be published; nodes keep the one that they have", "rows", len(next.Rows), "error", err)
		return nil
	}
	queues := t.listening()
	if err := t.Store.Publish(ctx, t.lead, Publication{Policy: next, Repeats: same, Message: message, Queues: queues}); err != nil {
		return err
	}
	t.Logger.DebugContext(ctx, "published a policy", "version", next.Version, "rows", len(next.Rows), "instances", len(queues))
	t.policy = next
	return nil
}

// sameWeight is by how much weights may differ that are as good as equal.
const sameWeight = 0.01

// sameChoices reports whether nodes would do the same by two policies, but for
// some calls in a hundred.
func sameChoices(a, b *centralcloud.Policy) bool {
	return slices.EqualFunc(a.Rows, b.Rows, func(a, b centralcloud.PolicyRow) bool {
		if a.Cell() != b.Cell() || !slices.Equal(a.Fallback, b.Fallback) {
			return false
		}
		weights := map[centralcloud.Arm]float64{}
		for _, arm := range a.Arms {
			weights[arm.Arm] = arm.Weight
		}
		for _, arm := range b.Arms {
			before, there := weights[arm.Arm]
			if !there || math.Abs(before-arm.Weight) > sameWeight {
				return false
			}
		}
		return len(a.Arms) == len(b.Arms)
	})
}
