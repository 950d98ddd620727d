package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/centralcloud/stdio"
)

func (c *cli) centralcloudLearn() *cobra.Command {
	var lines bool
	cmd := &cobra.Command{
		Use:   "learn --stdio",
		Short: "Drive the learner from another program, over JSON lines",
		Long: `Drive the learner from another program, over JSON lines on stdin and stdout, to
see how it would do on calls that were recorded: it keeps nothing and calls no
model. The other program sends

  {"type":"hello","arms":[{"model":"m","provider":"p","usd_per_mtok_in":1,"usd_per_mtok_out":4}],
   "strong":"m","mode":"utility","delta":0.03,"cost_weight":0.1}
  {"type":"up","node":3,"seq":7,"calls":[{"at":12,"task_type":"math","complexity_bucket":1,"model":"m","provider":"p",
   "tokens_in":90,"tokens_out":40,"cost_cents":0.03,"latency_ms":800,"success":true}]}
  {"type":"prices","arms":[…]}
  {"type":"tick","now":120}

first hello, then any of the others. Each tick is answered with one line:

  {"version":12,"rows":[{"task_type":"math","complexity_bucket":-1,"weights":{"m":1}}],"state_hash":"…"}

Times are seconds. Bucket -1 stands for all, and so does task type *. A batch, by
node and seq, counts once, however often and late it comes. The error_kind of a
call is unparsable for an answer that was no good, anything else for none. The
mode is utility, reference, or budget, which needs hourly_budget_cents.`,
		Args: arguments(),
		RunE: c.act(func(context.Context, []string) error {
			if !lines {
				return usagef("the learner runs within a hub; to drive it from another program, give --stdio")
			}
			return stdio.Serve(c.stdin, c.stdout)
		}),
	}
	cmd.Flags().BoolVar(&lines, "stdio", false, "talk over stdin and stdout")
	return cmd
}
