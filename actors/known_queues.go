package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// queuesCapability is under what the registry has the queues that a process is
// configured for.
const queuesCapability = "queues"

// withQueues adds the queues to what a process can do.
func withQueues(capabilities string, queues map[string]int) (string, error) {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(cmp.Or(capabilities, "{}")), &all); err != nil || all == nil {
		return "", fmt.Errorf("the capabilities are %q; expected a JSON object", capabilities)
	}
	names, err := json.Marshal(slices.Sorted(maps.Keys(queues)))
	if err != nil {
		return "", err
	}
	all[queuesCapability] = names
	document, err := json.Marshal(all)
	return string(document), err
}

// isConfigured reports whether a member of the registry is there and configured
// for a queue.
func isConfigured(member persistence.Member, queue string) bool {
	var can struct {
		Queues []string `json:"queues"`
	}
	return member.Status != "offline" && json.Unmarshal([]byte(member.Capabilities), &can) == nil && slices.Contains(can.Queues, queue)
}

// knowsPatience bounds the question whether anybody knows of a queue.
const knowsPatience = 2 * time.Second

// knowsQueue reports whether anybody knows of a queue: a node is configured for it,
// an operator said something of it, or runs are in it. It reads only where this node
// does not. When that cannot be told in time, the queue is taken for known: a store
// that is too busy to count may be why somebody pauses it.
func (n *Node) knowsQueue(ctx context.Context, name string) bool {
	if n.slots(name) > 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, knowsPatience)
	defer cancel()
	members, err := n.store.Members(ctx)
	if err != nil || slices.ContainsFunc(members, func(member persistence.Member) bool { return isConfigured(member, name) }) {
		return true
	}
	queues, err := n.Queues(ctx)
	return err != nil || slices.ContainsFunc(queues, func(queue workflow.Queue) bool { return queue.Name == name })
}
