package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) send() *cobra.Command {
	var (
		payload string
		timeout time.Duration
	)
	command := &cobra.Command{
		Use:   "send PID TYPE",
		Short: "Send a message to an actor and print its reply",
		Long: `Send a message to an actor and print its reply. It is found on whichever node
it lives; NODE/PID, with the label of a node, begins at that one. What takes which
messages:

  run/ID        ping, query, cancel
  agent/NAME    ping, message
  dispatcher    ping, sweep, start
  registry      ping, members
  sync          ping, flush: send results to the hub now
  learnings     ping, flush: read now what the hub has learned`,
		Example: `  singularity send run/01981f5e-0a7b-7c3d-9e21-5b6f0c8d4a10 query
  singularity send agent/echo message --payload '{"message_id":"m1","source":"me","type":"note","payload":"hello"}'
  singularity send one/dispatcher ping`,
		Args: arguments("PID", "TYPE"),
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			document, err := c.document(payload)
			if err != nil {
				return usagef("--payload: %w", err)
			}
			if timeout <= 0 {
				return usagef("--timeout %s is not positive", timeout)
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			response, err := node.actors.Send(ctx, &messages.SendRequest{Pid: args[0], Type: args[1], PayloadJson: string(document)})
			if err != nil {
				return err
			}
			if response.GetReplyJson() == "" {
				response.ReplyJson = "null"
			}
			return c.printRaw([]byte(response.GetReplyJson()))
		}),
	}
	command.Flags().StringVar(&payload, "payload", "", "the message: JSON, @ and the name of a file, or - for stdin")
	command.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the reply")
	return command
}
