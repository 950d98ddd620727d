package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) agentList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the agents: named receivers of messages",
		Args:  arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			response, err := node.agents.ListAgents(ctx, &messages.ListAgentsRequest{})
			if err != nil {
				return err
			}
			agents := make([]workflow.Agent, len(response.GetAgents()))
			for i, message := range response.GetAgents() {
				agents[i] = agentOf(message)
			}
			return c.print(agents, func(t *table) {
				t.row("NAME", "KIND", "HOME", "LIVE", "WAITING", "REGISTERED")
				for _, agent := range agents {
					t.row(agent.Name, agent.Kind, agent.Home, agent.Live, agent.Waiting, agent.RegisteredAt)
				}
			})
		}),
	}
}
