package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) queueList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the queues with what is in them, over all nodes, and their limits",
		Long: `List the queues with what is in them, over all nodes, and their limits. What
waits in a queue is counted up to 100000: with that count there are so many or
more. LIMIT and for how long ended runs are KEPT are those of the node that is
asked: what was set for the queue, or what that node was told.`,
		Args: arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			response, err := node.queues.ListQueues(ctx, &messages.ListQueuesRequest{})
			if err != nil {
				return err
			}
			queues := make([]queue, len(response.GetQueues()))
			for i, message := range response.GetQueues() {
				queues[i] = queueOf(message)
			}
			return c.print(queues, func(t *table) {
				t.row("QUEUE", "AVAILABLE", "RUNNING", "SCHEDULED", "RETRYABLE", "OLDEST", "LIMIT", "GLOBAL LIMIT", "KEY LIMIT", "RATE", "KEY RATE",
					"COMPLETED KEPT", "FAILED KEPT", "PAUSED")
				for _, q := range queues {
					s := q.Settings
					t.row(q.Name, countText(q.Available), q.Running, countText(q.Scheduled), countText(q.Retryable), q.age(), limitText(q.Slots), limitText(s.GlobalLimit),
						of(limitText(s.KeyLimit), s.KeyPath), burstText(s.Rate, s.Burst), of(burstText(s.KeyRate, s.KeyBurst), s.KeyPath),
						q.kept(workflow.Completed, workflow.Cancelled), q.kept(workflow.Failed, workflow.Quarantined), q.PausedAt)
				}
			})
		}),
	}
}

// countText says where counting ended that there may be more.
func countText(n int) string {
	if n >= workflow.MostCounted {
		return strconv.Itoa(workflow.MostCounted) + "+"
	}
	return strconv.Itoa(n)
}

// of says by which key of the input something is limited.
func of(limit, keyPath string) string {
	if limit == "" || keyPath == "" {
		return limit
	}
	return limit + " of " + keyPath
}
