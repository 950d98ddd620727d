package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) clusterDrain() *cobra.Command {
	return &cobra.Command{
		Use:   "drain NODE",
		Short: "Make a node finish the steps under way, hand over its runs, and end",
		Long: `Make a node finish the steps under way, for 30s at most, hand over its runs, and
end, as SIGTERM does. NODE is its label, its boot or the address of its actors. The
command returns when the node has begun; cluster members shows it draining, and then
offline.`,
		Args: arguments("NODE"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.cluster.DrainNode(ctx, &messages.DrainNodeRequest{Node: args[0]})
			if err != nil {
				return err
			}
			leaving := drain{response.GetInstanceId(), "draining"}
			return c.print(leaving, func(t *table) {
				t.row("INSTANCE", "STATUS")
				t.row(leaving.Instance, leaving.Status)
			})
		}),
	}
}

// drain is a node that has begun to drain, under the names of the registry.
type drain struct {
	Instance string `json:"instance_id"`
	Status   string `json:"status"`
}
