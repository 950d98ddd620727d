package actors

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// pruneAtOnce is how much of each kind one turn deletes.
const pruneAtOnce = 1000

// ownPrefix begins the names of the workflows that are the system's own.
const ownPrefix = "singularity."

// checkName refuses a workflow of users with a name of the system's own.
func checkName(definition workflow.Definition) error {
	if name := workflow.Compile(definition).Name; strings.HasPrefix(name, ownPrefix) {
		return fmt.Errorf("workflow %s: names that begin with %s are the system's own; choose another", name, ownPrefix)
	}
	return nil
}

// pruning is the workflow that deletes what has expired, batch after batch.
func (n *Node) pruning() *workflow.Workflow[struct{}, persistence.Pruned] {
	return workflow.Define(persistence.RetentionWorkflow,
		func(struct{}) (persistence.Pruned, error) { return persistence.Pruned{}, nil },
		func(sum *persistence.Pruned) persistence.Pruned { return *sum },
		workflow.Loop("prune", func(ctx context.Context, sum *persistence.Pruned) (done bool, err error) {
			pruned, err := n.prune(ctx)
			*sum = sum.Plus(pruned)
			if pruned.Most() > 0 {
				return err == nil && pruned.Most() < pruneAtOnce, nil // what is gone is gone, whatever came then
			}
			return true, err
		}).Timeout(time.Minute),
	)
}

// retentionPolicy is the node's own, but for the queues of which operators said
// for how long they keep their runs.
func (n *Node) retentionPolicy() persistence.RetentionPolicy {
	policy := n.cfg.Retention
	policy.Queues = map[string]persistence.RetentionAges{}
	maps.Copy(policy.Queues, n.cfg.Retention.Queues)
	for name, settings := range *n.queues.known.Load() {
		if settings.RetainCompleted == 0 && settings.RetainFailed == 0 {
			continue
		}
		ages := policy.Queues[name]
		if settings.RetainCompleted > 0 {
			ages.Completed, ages.Cancelled = time.Duration(settings.RetainCompleted)*time.Second, 0
		}
		if settings.RetainFailed > 0 {
			ages.Failed, ages.Quarantined = time.Duration(settings.RetainFailed)*time.Second, 0
		}
		policy.Queues[name] = ages
	}
	if n.results.on() {
		policy = policy.AtLeast(n.cfg.CentralCloud.keptForCounting())
	}
	return policy
}

// prune deletes some of what has expired.
func (n *Node) prune(ctx context.Context) (persistence.Pruned, error) {
	pruned, err := n.store.Prune(ctx, n.retentionPolicy(), pruneAtOnce)
	n.pruned.Add(int64(pruned.Runs))
	return pruned, err
}
