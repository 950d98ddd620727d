package main

import (
	"context"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) scheduleCreate() *cobra.Command {
	spec := &messages.ScheduleSpec{}
	var input string
	command := &cobra.Command{
		Use:   "create NAME",
		Short: "Start runs of a workflow at certain times",
		Long: `Start runs of a workflow at certain times, each of them once, however many nodes
there are and whichever of them die.

--cron takes five fields (minute, hour, day of month, month, day of week), six with
seconds before them, @hourly and its like, or @every 90s, which counts from now. Each
time is a slot, and a slot is an instant: in an hour that comes twice, as clocks are
put back, it fires twice, and in one that is left out, not at all.

A slot that no node was there to fire for more than a minute was missed. --catch-up
says what becomes of it: skip starts nothing, one starts a run for the latest such slot,
all starts one for each. --overlap skip starts nothing while the run of an earlier slot
goes on. Runs of a schedule have no key.

A schedule of the name that is there already is an error, unless it has the same
settings.`,
		Example: `  singularity schedule create nightly --workflow report --cron "30 2 * * *" --time-zone Europe/Berlin
  singularity schedule create pulse --workflow greet --cron "@every 90s" --input '{"name":"Ada"}'`,
		Args: arguments("NAME"),
	}
	flags := command.Flags()
	flags.StringVar(&spec.Workflow, "workflow", "", "the workflow whose runs it starts")
	flags.StringVar(&spec.Cron, "cron", "", "when")
	flags.StringVar(&spec.TimeZone, "time-zone", "", "of --cron, as Europe/Berlin (default UTC)")
	flags.StringVar(&input, "input", "{}", "the input of every run: JSON, @ and the name of a file, or - for stdin")
	flags.StringVar(&spec.CatchUp, "catch-up", "", "what becomes of missed slots: skip, one or all (default skip)")
	flags.StringVar(&spec.Overlap, "overlap", "", "what becomes of a slot while the run before it goes on: skip or allow (default allow)")
	flags.StringVar(&spec.Queue, "queue", "", "where the runs wait for a free slot (default \"default\")")
	flags.Var(&priority{&spec.Priority}, "priority", "0 (first) to 9 (last)")

	command.RunE = c.call(func(ctx context.Context, node *client, args []string) error {
		switch {
		case spec.GetWorkflow() == "":
			return usagef("--workflow is missing; expected the name of one, as `singularity workflow list` has them")
		case spec.GetCron() == "":
			return usagef(`--cron is missing; expected when to start runs, as "30 2 * * *" or "@every 90s"`)
		}
		document, err := c.document(input)
		if err != nil {
			return usagef("--input: %w", err)
		}
		if len(document) > workflow.MaxInput {
			return &workflow.LimitError{What: "input", Size: len(document), Limit: workflow.MaxInput}
		}
		spec.Name, spec.InputJson = args[0], string(document)
		response, err := node.schedules.CreateSchedule(ctx, &messages.CreateScheduleRequest{Spec: spec})
		if err != nil {
			return err
		}
		return c.printSchedule(response.GetSchedule())
	})
	return command
}

func (c *cli) printSchedule(message *messages.Schedule) error {
	schedule, err := scheduleOf(message)
	if err != nil {
		return err
	}
	return c.print(schedule, func(t *table) {
		t.row("NAME", schedule.Name)
		t.row("WORKFLOW", schedule.Workflow)
		t.row("CRON", schedule.Cron+" "+schedule.TimeZone)
		t.row("MISSED", schedule.CatchUp)
		t.row("OVERLAP", schedule.Overlap)
		t.optional("PAUSED", cell(schedule.PausedAt))
		t.optional("NEXT", cell(schedule.NextSlot))
	})
}
