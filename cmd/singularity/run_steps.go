package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) runSteps() *cobra.Command {
	return &cobra.Command{
		Use:   "steps ID",
		Short: "Show the history of a run: its checkpoints and failed attempts",
		Args:  runID,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.runs.ListSteps(ctx, &messages.ListStepsRequest{Id: args[0]})
			if err != nil {
				return err
			}
			steps := make([]workflow.StepRun, len(response.GetSteps()))
			for i, message := range response.GetSteps() {
				steps[i] = stepRunOf(message)
			}
			return c.print(steps, func(t *table) {
				t.row("SEQ", "STEP", "TURN", "ATTEMPT", "OUTCOME", "TOOK", "FINISHED", "OWNER", "ERROR")
				for _, step := range steps {
					t.row(step.Seq, step.Step, step.Turn, step.Attempt, step.Outcome,
						brief(step.FinishedAt.Sub(step.StartedAt)), step.FinishedAt, step.Owner, excerpt(step.Error))
				}
				writeScores(t, steps)
			})
		}),
	}
}

// writeScores lists the answers that somebody scored.
func writeScores(t *table, steps []workflow.StepRun) {
	headed := false
	for _, step := range steps {
		for _, fact := range step.Facts {
			if len(fact.Scores) == 0 {
				continue
			}
			if !headed {
				t.row()
				t.row("SEQ", "STEP", "SCORES")
				headed = true
			}
			t.row(step.Seq, step.Step, scoresText(fact.Scores))
		}
	}
}
