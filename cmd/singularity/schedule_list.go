package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

// usualNext is how many slots to come the JSON of a schedule has.
const usualNext = 5

func (c *cli) scheduleList() *cobra.Command {
	var next int32
	command := &cobra.Command{
		Use:   "list",
		Short: "List the schedules, when they fire next, and what they did last",
		Args:  arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			count := next
			if count == 0 && c.output == formatJSON {
				count = usualNext
			}
			response, err := node.schedules.ListSchedules(ctx, &messages.ListSchedulesRequest{Next: max(count, 1)})
			if err != nil {
				return err
			}
			schedules := make([]workflow.Schedule, len(response.GetSchedules())) // never nil: an empty list is [] in JSON
			for i, message := range response.GetSchedules() {
				if schedules[i], err = scheduleOf(message); err != nil {
					return err
				}
			}
			return c.print(schedules, func(t *table) {
				t.row("NAME", "WORKFLOW", "CRON", "TIME ZONE", "NEXT", "LAST", "LAST RUN", "LAST ERROR")
				for _, s := range schedules {
					run := ""
					if !s.LastRun.IsZero() {
						run = s.LastRun.String()
					}
					t.row(s.Name, s.Workflow, s.Cron, s.TimeZone, nextOf(s), s.LastSlot, run, s.LastError)
				}
			})
		}),
	}
	command.Flags().Int32Var(&next, "next", 0, "how many slots to come to show, up to 100 (default 1, in JSON 5)")
	return command
}

// nextOf is when a schedule fires next, or why it does not.
func nextOf(schedule workflow.Schedule) string {
	if schedule.PausedAt != nil {
		return "paused"
	}
	slots := make([]string, len(schedule.Next))
	for i, slot := range schedule.Next {
		slots[i] = cell(slot)
	}
	return strings.Join(slots, ", ")
}
