package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) queuePause() *cobra.Command {
	return &cobra.Command{
		Use:   "pause NAME",
		Short: "Keep runs of a queue from beginning, on all nodes; those that run go on",
		Long: `Keep runs of a queue from beginning, on all nodes; those that run go on. A queue
of which nobody knew is made by this, which stderr says.`,
		Args: named("NAME", "a queue"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.queues.PauseQueue(ctx, &messages.PauseQueueRequest{Name: args[0]})
			if err != nil {
				return err
			}
			switch {
			case response.GetNew():
				c.warnMade(args[0])
			case !response.GetChanged():
				fmt.Fprintf(c.stderr, "queue %s was paused before\n", args[0])
			}
			return c.printPause(queuePause{New: response.GetNew(), Changed: response.GetChanged()}, response.GetQueue())
		}),
	}
}

func (c *cli) queueResume() *cobra.Command {
	return &cobra.Command{
		Use:   "resume NAME",
		Short: "Let runs of a paused queue begin again",
		Args:  named("NAME", "a queue"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.queues.ResumeQueue(ctx, &messages.ResumeQueueRequest{Name: args[0]})
			if err != nil {
				return err
			}
			switch {
			case response.GetNew():
				fmt.Fprintf(c.stderr, "warning: no node works queue %s, and no run is in it; there is nothing to resume\n", args[0])
			case !response.GetChanged():
				fmt.Fprintf(c.stderr, "queue %s was not paused\n", args[0])
			}
			return c.printPause(queuePause{New: response.GetNew(), Changed: response.GetChanged()}, response.GetQueue())
		}),
	}
}

// warnMade says that a name is that of a queue from now on, since it may be a slip.
func (c *cli) warnMade(queue string) {
	fmt.Fprintf(c.stderr, "warning: no node works queue %s; it is made by this, and each node works it. `singularity queue list` lists those there are\n", queue)
}

// printPause prints a queue that was paused or resumed.
func (c *cli) printPause(pause queuePause, queue *messages.Queue) error {
	pause.Queue, pause.PausedAt = queue.GetName(), optionalTimeOf(queue.GetPausedAt())
	return c.print(pause, func(t *table) {
		t.row("QUEUE", "PAUSED", "CHANGED")
		t.row(pause.Queue, pause.PausedAt, yes(pause.Changed))
	})
}

// queuePause is whether a queue is paused, and whether it was before, or was there
// at all.
type queuePause struct {
	Queue    string     `json:"queue"`
	PausedAt *time.Time `json:"paused_at"`
	Changed  bool       `json:"changed"`
	New      bool       `json:"new"` // nobody knew of the queue
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
