package hub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"singularity/centralcloud"
)

// heard notes who sent an update, and sends a policy to who has an old one.
func (t *tenure) heard(ctx context.Context, update centralcloud.Update, at time.Time) error {
	before, known := t.instances[update.InstanceID]
	instance := Instance{
		ID: update.InstanceID, Queue: centralcloud.LearningsQueue(update.InstanceID), HeardAt: at,
		Arms: update.Arms, Version: max(update.PolicyVersion, before.Version),
	}
	if before.HeardAt.After(at) {
		instance.HeardAt = before.HeardAt
	}
	if update.BootID != before.Boot || !t.listens(before) {
		instance.Version = update.PolicyVersion // what was sent to it before may be gone
	}
	if !known {
		t.Logger.InfoContext(ctx, "an instance reports", "instance", instance.ID, "arms", len(instance.Arms))
	}
	if instance.Version < t.policy.Version {
		if err := t.Store.SendPolicy(ctx, t.policy, instance); err != nil {
			return err
		}
		instance.Version = t.policy.Version
	}
	t.instances[instance.ID] = instance
	return nil
}

// listens reports whether an instance was heard of lately.
func (t *tenure) listens(instance Instance) bool {
	return t.lead.At.Sub(instance.HeardAt) < t.Away
}
