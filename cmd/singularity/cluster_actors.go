package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) clusterActors() *cobra.Command {
	return &cobra.Command{
		Use:   "actors [NODE]",
		Short: "Show the tree of supervisors and actors of the node that is asked, or of another",
		Long: `Show the tree of supervisors and actors of the node that is asked, or of another
one of its cluster: NODE is its label, its boot or the address of its actors.`,
		Args: optional("NODE"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			var request messages.GetActorTreeRequest
			if len(args) > 0 {
				request.Node = args[0]
			}
			response, err := node.actors.GetActorTree(ctx, &request)
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
