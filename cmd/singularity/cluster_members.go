package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) clusterMembers() *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the nodes that use the database: those that live by name, then those that are gone",
		Args:  arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			response, err := node.cluster.ListMembers(ctx, &messages.ListMembersRequest{})
			if err != nil {
				return err
			}
			members := make([]member, len(response.GetMembers()))
			for i, message := range response.GetMembers() {
				members[i] = memberOf(message)
			}
			slices.SortStableFunc(members, byLife)
			return c.print(members, func(t *table) {
				t.row("INSTANCE", "STATUS", "LOAD", "HEARTBEAT", "HOST", "PID", "API", "VERSION", "SINCE")
				for _, m := range members {
					t.row(m.Instance, m.Status, m.Load, m.LastHeartbeat, m.Hostname, m.PID, m.API, m.Version, m.CreatedAt)
				}
			})
		}),
	}
}

// byLife orders those that live by their labels, so that a list that is watched
// keeps still, and leaves those that are gone after them, the latest first.
func byLife(a, b member) int {
	const gone = "offline"
	switch {
	case a.Status != gone && b.Status != gone:
		return cmp.Compare(a.Instance, b.Instance)
	case a.Status == b.Status:
		return 0
	case a.Status == gone:
		return 1
	default:
		return -1
	}
}
