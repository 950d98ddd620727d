package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) workflowList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the workflows that can be run",
		Args:  arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			response, err := node.workflows.ListWorkflows(ctx, &messages.ListWorkflowsRequest{})
			if err != nil {
				return err
			}
			definitions := make([]definition, len(response.GetWorkflows()))
			for i, message := range response.GetWorkflows() {
				definitions[i] = definitionOf(message)
			}
			return c.print(definitions, func(t *table) {
				t.row("NAME", "VERSION", "DURABILITY", "STEPS")
				for _, defined := range definitions {
					t.row(defined.Name, defined.Version, defined.Durability, len(defined.Steps))
				}
			})
		}),
	}
}
