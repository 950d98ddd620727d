package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) queuePause() *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME",
		Short: "Keep runs of a queue from beginning, on all nodes; those that run go on",
		Args:  queueName,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.queues.PauseQueue(ctx, &messages.PauseQueueRequest{Name: args[0]})
			if err != nil {
				return err
			}
			if !response.GetChanged() {
				fmt.Fprintf(c.stderr, "queue %s was paused before\n", args[0])
			}
			return c.printPause(response.GetQueue(), response.GetChanged())
		}),
	}
}

func (c *cli) queueResume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME",
		Short: "Let runs of a paused queue begin again",
		Args:  queueName,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.queues.ResumeQueue(ctx, &messages.ResumeQueueRequest{Name: args[0]})
			if err != nil {
				return err
			}
			if !response.GetChanged() {
				fmt.Fprintf(c.stderr, "queue %s was not paused\n", args[0])
			}
			return c.printPause(response.GetQueue(), response.GetChanged())
		}),
	}
}

// queueName accepts the name of a queue.
func queueName(cmd *cobra.Command, args []string) error {
	if err := arguments("NAME")(cmd, args); err != nil {
		return err
	}
	if !workflow.ValidName(args[0]) {
		return fmt.Errorf("%q is not the name of a queue; expected letters, digits and any of _-. after the first", args[0])
	}
	return nil
}

// printPause prints a queue that was paused or resumed.
func (c *cli) printPause(message *messages.Queue, changed bool) error {
	pause := queuePause{message.GetName(), optionalTimeOf(message.GetPausedAt()), changed}
	return c.print(pause, func(t *table) {
		t.row("QUEUE", "PAUSED", "CHANGED")
		t.row(pause.Queue, pause.PausedAt, yes(changed))
	})
}

// queuePause is whether a queue is paused, and whether it was before.
type queuePause struct {
	Queue    string     `json:"queue"`
	PausedAt *time.Time `json:"paused_at"`
	Changed  bool       `json:"changed"`
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
