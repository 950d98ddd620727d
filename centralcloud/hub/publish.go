package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"singularity/centralcloud"
	"singularity/centralcloud/learner"
)

// publish makes a policy, and sends it to all who listen if it says something
// new, or if theirs gets old.
func (t *tenure) publish(ctx context.Context) error {
	if !t.learned && t.lead.At.Sub(t.policy.MadeAt) < refresh {
		return nil
	}
	policy, err := learner.Learn(t.ledger, t.prices, t.config(), t.policy, t.lead.At)
	if err != nil {
		return err
	}
	t.learned = false
	if t.policy.SameChoices(policy) && t.lead.At.Sub(t.policy.MadeAt) < refresh {
		return nil
	}
	to := t.listening()
	if err := t.Store.Publish(ctx, t.lead, policy, to); err != nil {
		return err
	}
	t.policy = policy
	for _, instance := range to {
		instance.Version = policy.Version
		t.instances[instance.ID] = instance
	}
	t.Logger.DebugContext(ctx, "published a policy", "version", policy.Version, "instances", len(to), "rows", len(policy.Rows))
	return nil
}
