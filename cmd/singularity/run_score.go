package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) runScore() *cobra.Command {
	var step string
	command := &cobra.Command{
		Use:   "score ID NAME VALUE",
		Short: "Say how good the answer was that a run got from a model",
		Long: `Say how good the last answer was that a run got from a model and took, from 0
(useless) to 1 (perfect). NAME is what was looked at, such as quality. A later
score of the same name takes the place of the earlier one; of several names the
mean counts.

Models are chosen by it, in place of the verdict of the run's own step, if the node
has a hub and the answer is not older than a day.`,
		Example: `  singularity run score 01998d2e-7c1b-7e9a-a1f4-5b6c7d8e9f00 quality 0.8
  singularity run score 01998d2e-7c1b-7e9a-a1f4-5b6c7d8e9f00 correct 0 --step draft`,
		Args: scoreArguments,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			id, name := args[0], args[1]
			value, err := strconv.ParseFloat(args[2], 64)
			if err != nil {
				return usagef("%q is no score; expected a number from 0 (useless) to 1 (perfect)", args[2])
			}
			if err := (workflow.Score{Name: name, Value: value}).Check(); err != nil {
				return usagef("%w", err)
			}
			response, err := node.runs.ScoreRun(ctx, &messages.ScoreRunRequest{Id: id, Name: name, Value: value, Step: step})
			if err != nil {
				return err
			}
			return c.printScored(id, response)
		}),
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w; a VALUE is a number from 0 to 1, and none below", err) // -1 looks like a flag
	})
	command.Flags().StringVar(&step, "step", "", "the last answer of this step (default: the last one of the run)")
	return command
}

func scoreArguments(cmd *cobra.Command, args []string) error {
	if err := arguments("ID", "NAME", "VALUE")(cmd, args); err != nil {
		return err
	}
	return runID(cmd, args[:1])
}

func (c *cli) printScored(id string, message *messages.ScoreRunResponse) error {
	run, err := workflow.ParseRunID(id)
	if err != nil {
		return err
	}
	scored := workflow.Scored{
		Run: run, Seq: message.GetSeq(), Step: message.GetStep(), Fact: factOf(message.GetRecord()),
	}
	var call struct{ Provider, Model string }
	if err := json.Unmarshal(scored.Doc, &call); err != nil {
		return fmt.Errorf("answer of the node: %w", err)
	}
	return c.print(scored, func(t *table) {
		t.row("RUN", scored.Run)
		t.row("STEP", cmp.Or(scored.Step, "none"))
		t.row("ANSWERED BY", call.Provider+"/"+call.Model)
		t.row("SCORES", scoresText(scored.Scores))
	})
}

func scoresText(scores map[string]float64) string {
	texts := make([]string, 0, len(scores))
	for _, name := range slices.Sorted(maps.Keys(scores)) {
		texts = append(texts, fmt.Sprintf("%s %g", name, scores[name]))
	}
	return strings.Join(texts, ", ")
}
