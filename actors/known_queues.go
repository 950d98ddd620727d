package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

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

// knowsQueue reports whether anybody knows of a queue: a node is configured for it,
// an operator said something of it, or runs are in it. It reads only where this node
// does not.
func (n *Node) knowsQueue(ctx context.Context, name string) (bool, error) {
	if n.slots(name) > 0 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, statsPatience)
	defer cancel()
	members, err := n.store.Members(ctx)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(members, func(member persistence.Member) bool { return isConfigured(member, name) }) {
		return true, nil
	}
	queues, err := n.Queues(ctx)
	return slices.ContainsFunc(queues, func(queue workflow.Queue) bool { return queue.Name == name }), err
}
