package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) queueSet() *cobra.Command {
	request := &messages.SetQueueRequest{}
	command := &cobra.Command{
		Use:   "set NAME",
		Short: "Change settings of a queue, on all nodes and for good",
		Long: `Change settings of a queue, on all nodes and for good, and print what they were and
what they are now. What is not given stays as it is; "off" takes a limit away. A queue of
which nobody knew is made by this, which stderr says.

A key is a value in the input of a run: with --key user.id, runs are told apart by
the id of the user in their input, and those of different users take turns.`,
		Example: `  singularity queue set default --global-limit 50
  singularity queue set mail --rate 300/m --burst 20
  singularity queue set default --key tenant --key-limit 2 --key-rate 5/s
  singularity queue set default --rate off
  singularity queue set bills --retain-failed 90d`,
		Args: named("NAME", "a queue"),
	}
	flags := command.Flags()
	flags.Var(&limit{&request.NodeLimit}, "limit", "how many runs run at once on each node (off: what the node was told)")
	flags.Var(&limit{&request.GlobalLimit}, "global-limit", "how many run at once on all nodes together")
	flags.Var(&keyPath{&request.KeyPath}, "key", "where in the input the key is, as tenant or user.id or items[0].sku")
	flags.Var(&limit{&request.KeyLimit}, "key-limit", "how many with the same key run at once on all nodes")
	flags.Var(&rate{&request.Rate}, "rate", "how many begin on all nodes, as 5/s, 300/m or 1000/h")
	flags.Var(&limit{&request.Burst}, "burst", "how many may begin at once after a pause (off: 1 or the rate a second, whichever is more)")
	flags.Var(&rate{&request.KeyRate}, "key-rate", "how many with the same key begin")
	flags.Var(&limit{&request.KeyBurst}, "key-burst", "how many of them may begin at once after a pause")
	flags.Var(&retention{&request.RetainCompletedSeconds}, "retain-completed", "for how long completed and cancelled runs are kept (off: what the nodes were told)")
	flags.Var(&retention{&request.RetainFailedSeconds}, "retain-failed", "for how long failed and quarantined runs are kept (off: what the nodes were told)")
	command.RunE = c.call(func(ctx context.Context, node *client, args []string) error {
		request.Name = args[0]
		var given []string
		for _, s := range settings {
			if command.Flags().Changed(s.flag) {
				given = append(given, s.flag)
			}
		}
		if len(given) == 0 {
			return usagef("nothing to set; give a limit, such as --global-limit 5: `singularity queue set --help` lists them")
		}
		dropBursts(request)
		before, err := settingsOf(ctx, node, request.GetName())
		if err != nil {
			return err
		}
		response, err := node.queues.SetQueue(ctx, request)
		if err != nil {
			return err
		}
		now := queueOf(response.GetQueue()).Settings
		switch {
		case response.GetNew():
			c.warnMade(request.GetName())
		case now == before:
			fmt.Fprintln(c.stderr, "nothing changed: the settings were these before")
		}
		return c.printSettings(queueChange{request.GetName(), before, now, response.GetNew()}, given)
	})
	return command
}

// dropBursts takes the burst away with its rate.
func dropBursts(request *messages.SetQueueRequest) {
	alone := func(rate *float64, burst *int32) bool { return rate != nil && *rate == 0 && burst == nil }
	if alone(request.Rate, request.Burst) {
		request.Burst = new(int32(0))
	}
	if alone(request.KeyRate, request.KeyBurst) {
		request.KeyBurst = new(int32(0))
	}
}

// settingsOf are those of a queue; none of one of which nobody has heard.
func settingsOf(ctx context.Context, node *client, name string) (workflow.QueueSettings, error) {
	response, err := node.queues.ListQueues(ctx, &messages.ListQueuesRequest{})
	for _, message := range response.GetQueues() {
		if message.GetName() == name {
			return queueOf(message).Settings, err
		}
	}
	return workflow.QueueSettings{}, err
}

// queueChange is what a queue's settings were and are.
type queueChange struct {
	Queue  string                 `json:"queue"`
	Before workflow.QueueSettings `json:"before"`
	Now    workflow.QueueSettings `json:"now"`
	New    bool                   `json:"new"` // nobody knew of the queue
}

// printSettings prints the settings that were given, and those that changed with
// them.
func (c *cli) printSettings(change queueChange, given []string) error {
	return c.print(change, func(t *table) {
		t.row("QUEUE", "SETTING", "BEFORE", "NOW")
		for _, s := range settings {
			before, now := s.text(change.Before), s.text(change.Now)
			if before != now || slices.Contains(given, s.flag) {
				t.row(change.Queue, s.flag, before, now)
			}
		}
	})
}

// settings are those of a queue, each under the flag that sets it.
var settings = []struct {
	flag string
	text func(workflow.QueueSettings) string
}{
	{"limit", func(s workflow.QueueSettings) string { return orOff(limitText(s.NodeLimit)) }},
	{"global-limit", func(s workflow.QueueSettings) string { return orOff(limitText(s.GlobalLimit)) }},
	{"key", func(s workflow.QueueSettings) string { return orOff(s.KeyPath) }},
	{"key-limit", func(s workflow.QueueSettings) string { return orOff(limitText(s.KeyLimit)) }},
	{"rate", func(s workflow.QueueSettings) string { return orOff(rateText(s.Rate)) }},
	{"burst", func(s workflow.QueueSettings) string { return orOff(limitText(s.Burst)) }},
	{"key-rate", func(s workflow.QueueSettings) string { return orOff(rateText(s.KeyRate)) }},
	{"key-burst", func(s workflow.QueueSettings) string { return orOff(limitText(s.KeyBurst)) }},
	{"retain-completed", func(s workflow.QueueSettings) string { return orOff(retentionText(s.RetainCompleted)) }},
	{"retain-failed", func(s workflow.QueueSettings) string { return orOff(retentionText(s.RetainFailed)) }},
}
