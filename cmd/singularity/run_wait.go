package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"singularity/messages"
)

func (c *cli) runWait() *cobra.Command {
	return &cobra.Command{
		Use:   "wait ID",
		Short: "Wait for the end of a run and print its output",
		Long: `Wait for the end of a run and print its output. With -o json that is the output
document, byte for byte. Ctrl-C ends the waiting, not the run.`,
		Args: runID,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			return c.waitAndPrint(ctx, node, args[0], false)
		}),
	}
}

// waitAndPrint prints the output of a run once it has completed. Any other end
// of it is an error. reached says that the node has answered before.
func (c *cli) waitAndPrint(ctx context.Context, node *client, id string, reached bool) error {
	message, err := c.wait(ctx, node, id, reached)
	if err != nil {
		return err
	}
	run, err := runOf(message)
	if err == nil {
		err = run.Err()
	}
	switch {
	case err != nil:
		return err
	case c.output == formatJSON:
		return c.printRaw(run.Output)
	default:
		return c.printRun(message)
	}
}

// wait returns a run that has ended. A node that is away for a while, because
// it is started anew, is waited for.
func (c *cli) wait(ctx context.Context, node *client, id string, reached bool) (*messages.Run, error) {
	view := c.liveView()
	defer view.clear()
	pause := c.pauses()
	for {
		run, heard, err := follow(ctx, node, id, view)
		if run != nil {
			return run, nil
		}
		if heard {
			reached = true
			pause.reset()
		}
		again := reached && away(err)
		if again {
			view.say("the node is away; waiting for it")
			again = pause.next(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil, &interruptedError{fmt.Sprintf("run %s goes on; `singularity run wait %[1]s` waits for it again", id)}
		case !again:
			return nil, err
		}
	}
}

// follow watches a run until its end, or until the stream breaks off. heard
// says that the node answered.
func follow(ctx context.Context, node *client, id string, view *liveView) (run *messages.Run, heard bool, err error) {
	stream, err := node.runs.WatchRun(ctx, &messages.WatchRunRequest{Id: id})
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		event := stream.Msg().GetEvent()
		if !view.caughtUp() {
			history, _ := node.runs.ListSteps(ctx, &messages.ListStepsRequest{Id: id}) // without it, the view begins now
			view.backfill(history.GetSteps())
		}
		view.show(event)
		if event.GetRun() != nil {
			return event.GetRun(), true, nil
		}
	}
	err = stream.Err()
	heard = strings.HasPrefix(stream.ResponseHeader().Get("Content-Type"), "application/connect+")
	if heard && !connect.IsWireError(err) {
		err = connect.NewError(connect.CodeUnavailable, errors.Join(errors.New("the stream broke off"), err))
	}
	return nil, heard, err
}
