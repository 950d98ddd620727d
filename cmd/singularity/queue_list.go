package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) queueList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the queues with what is in them, over all nodes, and their limits",
		Args:  arguments(),
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
				t.row("QUEUE", "AVAILABLE", "RUNNING", "SCHEDULED", "RETRYABLE", "OLDEST", "LIMIT", "GLOBAL LIMIT", "KEY LIMIT", "RATE", "KEY RATE", "PAUSED")
				for _, q := range queues {
					s := q.Settings
					t.row(q.Name, q.Available, q.Running, q.Scheduled, q.Retryable, q.age(), limitText(q.Slots), limitText(s.GlobalLimit),
						of(limitText(s.KeyLimit), s.KeyPath), burstText(s.Rate, s.Burst), of(burstText(s.KeyRate, s.KeyBurst), s.KeyPath), q.PausedAt)
				}
			})
		}),
	}
}

// of says by which key of the input something is limited.
func of(limit, keyPath string) string {
	if limit == "" || keyPath == "" {
		return limit
	}
	return limit + " of " + keyPath
}
