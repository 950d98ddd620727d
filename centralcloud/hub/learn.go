package hub

import (
	"context"

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
	same := t.policy != nil && settle(next, t.policy)
	t.news = !same // weights may be on their way still
	if same && !old {
		return nil
	}
	learnings, err := centralcloud.TeachPolicy(next, t.policy)
	if err != nil {
		return err
	}
	messages, err := centralcloud.EncodeLearnings(learnings...)
	if err != nil {
		t.Logger.ErrorContext(ctx, "a policy cannot be published; nodes keep the one that they have", "rows", len(next.Rows), "error", err)
		return nil
	}
	queues := t.listening()
	if err := t.Store.Publish(ctx, t.lead, Publication{Policy: next, Repeats: same, Messages: messages, Queues: queues}); err != nil {
		return err
	}
	t.logHeld(ctx, next)
	t.Logger.DebugContext(ctx, "published a policy", "version", next.Version, "rows", len(next.Rows), "messages", len(messages), "instances", len(queues))
	t.policy = next
	return nil
}

// logHeld says which rows are held back that were not.
func (t *tenure) logHeld(ctx context.Context, next *centralcloud.Policy) {
	held := map[centralcloud.Cell]bool{}
	if t.policy != nil {
		for _, row := range t.policy.Rows {
			held[row.Cell()] = row.Held != ""
		}
	}
	for _, row := range next.Rows {
		if row.Held != "" && !held[row.Cell()] {
			t.Logger.WarnContext(ctx, "a new choice is held back; nodes keep the one that they have",
				"task_type", row.TaskType, "bucket", row.Bucket, "version", next.Version, "why", row.Held)
		}
	}
}
