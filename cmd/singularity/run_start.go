package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"singularity/messages"
	"singularity/workflow"
)

func (c *cli) runStart() *cobra.Command {
	var (
		request = &messages.StartRunRequest{}
		input   string
		inputs  string
		wait    bool
		at      string
		in      time.Duration
		by      time.Duration
		batch   = &messages.Batch{}
		unique  uniqueFlags
	)
	command := &cobra.Command{
		Use:   "start NAME",
		Short: "Start a run of a workflow",
		Long: `Start a run of a workflow, and print it; with --wait, wait for its end and
print its output.

A start with the key or id of an earlier run, and with the same input, attaches
to that run. Ctrl-C ends the waiting, not the run.

With --inputs, start a run for each line of a file, and print how many there are.
Up to 10,000 lines of 12 MiB in all are started in one transaction, all or none;
those of a longer file by and by. The ids of the runs count up from --id: with the
same one and the same file, the command may be repeated, and attaches to the runs
that it started before.

With --batch, the runs are a batch. Once all of them have ended, however they
did, one run of the workflow of --on-end is started, with how many there were of
each as its input. The batch is closed behind the last line of the file, and the
command may be repeated with the same --id and --batch. "batch get" shows how it
stands, and "batch close" closes one that a file left open which ended early.

A run that is not done by its --deadline fails then, also while it waits for a
slot or its queue is paused; "run retry" takes it up again without one.`,
		Example: `  singularity run start greet --input '{"name":"Ada"}' --wait
  singularity run start greet --input @input.json --key ada --wait -o json
  singularity run start greet --in 24h --tag reminder
  singularity run start greet --inputs names.jsonl --queue mail
  singularity run start greet --inputs names.jsonl --batch auto --on-end report
  singularity run start greet --in 1m --unique workflow,input --on-conflict replace`,
		Args: arguments("NAME"),
	}
	flags := command.Flags()
	flags.StringVar(&input, "input", "{}", "the input: JSON, @ and the name of a file, or - for stdin")
	flags.StringVar(&inputs, "inputs", "", "a file with an input on each line, as JSON, or - for stdin: starts a run for each")
	flags.StringVar(&batch.Id, "batch", "", "makes the runs of --inputs a batch of this name, or auto: the id of the first run")
	flags.StringVar(&batch.OnEnd, "on-end", "", "the workflow of which a run is started once all of --batch have ended")
	flags.BoolVar(&wait, "wait", false, "wait for the end of the run; prints its output")
	flags.StringVar(&request.Key, "key", "", "makes the run unique in its workflow (default: what the workflow makes of the input)")
	flags.StringVar(&request.Queue, "queue", "", "where the run waits for a free slot (default \"default\")")
	flags.Var(&priority{&request.Priority}, "priority", "0 (first) to 9 (last)")
	flags.StringVar(&at, "at", "", "when the run may start, as 2026-03-01T09:00:00Z (default now)")
	flags.DurationVar(&in, "in", 0, "how long from now the run may start, as 90s or 24h")
	flags.DurationVar(&by, "deadline", 0, "how long after that the run may end, at the latest; it fails then (default: what the workflow says)")
	flags.StringSliceVar(&request.Tags, "tag", nil, "a word to find the run by; may be given again")
	unique.register(flags)
	command.MarkFlagsMutuallyExclusive("at", "in")
	flags.StringVar(&request.Id, "id", "", "the id of the run, or the first one of --inputs, a UUID (default: a fresh one)")
	for _, other := range []string{"input", "wait", "key", "unique"} {
		command.MarkFlagsMutuallyExclusive("inputs", other)
	}

	command.RunE = c.call(func(ctx context.Context, node *client, args []string) error {
		if request.GetId() == "" {
			request.Id = workflow.NewRunID().String()
		} else if _, err := workflow.ParseRunID(request.GetId()); err != nil {
			return usagef("--id: %w", err)
		}
		if err := startTime(request, at, in); err != nil {
			return err
		}
		if by < 0 {
			return usagef("--deadline: %s is negative; expected how long the run may take, as 10m", by)
		}
		if by > 0 {
			request.Deadline = durationpb.New(by)
		}
		request.Workflow = args[0]
		switch {
		case batch.GetId() == "" && batch.GetOnEnd() != "":
			return usagef("--on-end: goes with --batch, which names the runs that it is to wait for")
		case batch.GetId() != "" && inputs == "":
			return usagef("--batch: goes with --inputs, which starts its runs")
		case batch.GetId() == "auto":
			batch.Id = request.GetId()
		}
		if inputs != "" {
			return c.startMany(ctx, node, inputs, request, batch)
		}
		document, err := c.document(input)
		if err != nil {
			return usagef("--input: %w", err)
		}
		if len(document) > workflow.MaxInput {
			return &workflow.LimitError{What: "input", Size: len(document), Limit: workflow.MaxInput}
		}
		if request.Unique, err = unique.message(); err != nil {
			return err
		}
		request.InputJson = string(document)

		id, err := c.start(ctx, node, request)
		if err != nil {
			return err
		}
		if wait {
			return c.waitAndPrint(ctx, node, id, true)
		}
		response, err := node.runs.GetRun(ctx, &messages.GetRunRequest{Id: id})
		if err != nil {
			return fmt.Errorf("run %s is started; reading it: %w", id, err)
		}
		return c.printRun(response.GetRun())
	})
	return command
}

// startTime sets when the run may start.
func startTime(request *messages.StartRunRequest, at string, in time.Duration) error {
	if in < 0 {
		return usagef("--in: %s has passed; expected a time from now, as 90s", in)
	}
	if in > 0 {
		request.Delay = durationpb.New(in)
	}
	if at == "" {
		return nil
	}
	due, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return usagef("--at: %q is no time; expected one as 2026-03-01T09:00:00Z or 2026-03-01T10:00:00+01:00", at)
	}
	request.DueAt = timestamppb.New(due)
	return nil
}

// start starts a run and returns its id, which is another one's when the key
// is taken. A call whose answer was lost is repeated: the id makes that safe.
func (c *cli) start(ctx context.Context, node *client, request *messages.StartRunRequest) (id string, err error) {
	response, lost, err := repeatLost(ctx, c, func() (*messages.StartRunResponse, error) {
		return node.runs.StartRun(ctx, request)
	})
	switch {
	case err == nil:
		return response.GetId(), nil
	case ctx.Err() != nil:
		return "", &interruptedError{fmt.Sprintf("run %s may have been started; `singularity run get %[1]s` tells", request.GetId())}
	case lost && away(err):
		return "", fmt.Errorf("run %s may have been started, repeat the command with --id %[1]s to make sure: %[2]w", request.GetId(), err)
	default:
		return "", err
	}
}

// repeatLost repeats a call that may be repeated while its answer is lost. lost
// says that the first one may have had its effect.
func repeatLost[T any](ctx context.Context, c *cli, call func() (T, error)) (answer T, lost bool, err error) {
	answer, err = call()
	lost = answerLost(err)
	for pause := c.pauses(); lost && away(err) && pause.next(ctx); {
		answer, err = call()
	}
	return answer, lost, err
}

// priority is the value of --priority.
type priority struct{ value *int32 }

// String implements [pflag.Value].
func (p *priority) String() string {
	if p.value == nil {
		return "0"
	}
	return fmt.Sprint(*p.value)
}

// Type implements [pflag.Value].
func (p *priority) Type() string { return "0-9" }

// Set implements [pflag.Value].
func (p *priority) Set(text string) error {
	if len(text) != 1 || text[0] < '0' || text[0] > '9' {
		return fmt.Errorf("%q is not a priority; expected 0 (first) to 9 (last)", text)
	}
	*p.value = int32(text[0] - '0')
	return nil
}
