package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) clusterMembers() *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the nodes that use the database, the latest heartbeat first",
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
			return c.print(members, func(t *table) {
				t.row("INSTANCE", "STATUS", "LOAD", "HEARTBEAT", "HOST", "PID", "API", "VERSION", "SINCE")
				for _, m := range members {
					t.row(m.Instance, m.Status, m.Load, m.LastHeartbeat, m.Hostname, m.PID, m.API, m.Version, m.CreatedAt)
				}
			})
		}),
	}
}
