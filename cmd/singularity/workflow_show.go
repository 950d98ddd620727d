package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) workflowShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show the steps of a workflow",
		Args:  arguments("NAME"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.workflows.GetWorkflow(ctx, &messages.GetWorkflowRequest{Name: args[0]})
			if err != nil {
				return err
			}
			defined := definitionOf(response.GetWorkflow())
			return c.print(defined, func(t *table) {
				t.row("STEP", "KIND", "TIMEOUT", "ATTEMPTS", "DELAYS")
				for _, step := range defined.Steps {
					delays := make([]string, len(step.DelaysSeconds))
					for i, delay := range step.DelaysSeconds {
						delays[i] = seconds(delay).String()
					}
					t.row(step.Name, step.Kind, seconds(step.TimeoutSeconds), step.Attempts, strings.Join(delays, " "))
				}
			})
		}),
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
