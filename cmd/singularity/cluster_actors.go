package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) clusterActors() *cobra.Command {
	return &cobra.Command{
		Use:   "actors",
		Short: "Show the tree of supervisors and actors",
		Args:  arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			response, err := node.actors.GetActorTree(ctx, &messages.GetActorTreeRequest{})
			if err != nil {
				return err
			}
			root := actorNodeOf(response.GetRoot())
			return c.print(root, func(t *table) {
				t.row("ACTOR", "STATE", "STRATEGY", "RESTARTS", "MAILBOX", "LAST FAILURE")
				t.actor(root, "", "")
			})
		}),
	}
}

// actor writes an actor and those below it. branch stands before its own name,
// stem before the names below it.
func (t *table) actor(node actorNode, branch, stem string) {
	failure := ""
	if node.LastFailureAt != nil {
		failure = cell(node.LastFailureAt) + " " + excerpt(node.LastFailure)
	}
	t.row(branch+node.Name, node.State, node.Strategy, node.Restarts, node.Mailbox, failure)
	for i, child := range node.Children {
		if i == len(node.Children)-1 && node.More == 0 {
			t.actor(child, stem+"└─ ", stem+"   ")
		} else {
			t.actor(child, stem+"├─ ", stem+"│  ")
		}
	}
	if node.More > 0 {
		t.row(fmt.Sprintf("%s└─ and %d more", stem, node.More))
	}
}
