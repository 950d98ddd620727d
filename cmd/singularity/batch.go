package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) batchGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show a batch: how many of its runs are in each state, and what it ends with",
		Long: `Show a batch: whether more runs may come, how many of its runs are in each state,
and the run with which it ends, or ended. "run list --batch ID" lists its runs.`,
		Args: named("ID", "a batch"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.runs.GetBatch(ctx, &messages.GetBatchRequest{Id: args[0]})
			if err != nil {
				return err
			}
			batch, err := batchOf(response.GetBatch())
			if err != nil {
				return err
			}
			return c.print(batch, batch.write)
		}),
	}
}

func (c *cli) batchClose() *cobra.Command {
	return &cobra.Command{
		Use:   "close ID",
		Short: "Say that no more runs come to a batch; it ends once all that it has have ended",
		Args:  named("ID", "a batch"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.runs.CloseBatch(ctx, &messages.CloseBatchRequest{Id: args[0]})
			if err != nil {
				return err
			}
			batch, err := batchOf(response.GetBatch())
			if err != nil {
				return err
			}
			if !response.GetChanged() {
				fmt.Fprintf(c.stderr, "batch %s was closed before\n", args[0])
			}
			closed := closedBatch{batch, response.GetChanged()}
			return c.print(closed, func(t *table) {
				batch.write(t)
				t.row("CHANGED", yes(closed.Changed))
			})
		}),
	}
}

// batch is a batch as it is printed.
type batch struct {
	workflow.BatchStatus
	State string `json:"state"`
}

// closedBatch is a batch, and whether it was open before.
type closedBatch struct {
	batch
	Changed bool `json:"changed"`
}

func batchOf(message *messages.BatchStatus) (batch, error) {
	b := batch{BatchStatus: workflow.BatchStatus{
		ID:        message.GetId(),
		OnEnd:     message.GetOnEnd(),
		CreatedAt: timeOf(message.GetCreatedAt()),
		ClosedAt:  optionalTimeOf(message.GetClosedAt()),
		EndedAt:   optionalTimeOf(message.GetEndedAt()),
		Total:     int(message.GetTotal()),
		States:    make(map[workflow.State]int, len(message.GetStates())),
	}}
	for state, runs := range message.GetStates() {
		b.States[workflow.State(state)] = int(runs)
	}
	b.State = stateOf(b.ClosedAt, b.EndedAt)
	if message.GetOnEndRunId() == "" {
		return b, nil
	}
	var err error
	if b.OnEndRun, err = workflow.ParseRunID(message.GetOnEndRunId()); err != nil {
		return b, fmt.Errorf("answer of the node: %w", err)
	}
	return b, nil
}

// stateOf is what a batch waits for, in a word.
func stateOf(closed, ended *time.Time) string {
	switch {
	case ended != nil:
		return "ended"
	case closed != nil:
		return "closed" // its runs are still to end
	default:
		return "open"
	}
}

func (b batch) write(t *table) {
	t.row("ID", b.ID)
	t.row("STATE", b.State)
	t.row("RUNS", b.Total)
	for _, state := range workflow.States {
		if runs := b.States[state]; runs > 0 {
			t.row("  "+string(state), runs)
		}
	}
	t.optional("ON END", b.OnEnd)
	if !b.OnEndRun.IsZero() {
		t.row("ON END RUN", b.OnEndRun)
	}
	t.row("CREATED", b.CreatedAt)
	t.optional("CLOSED", cell(b.ClosedAt))
	t.optional("ENDED", cell(b.EndedAt))
}
