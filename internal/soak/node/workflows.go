package main

import (
	"context"
	"os"
	"syscall"
	"time"

	"singularity/internal/soak"
	"singularity/workflow"
)

// document is input, state and output.
type document struct {
	Note string `json:"note"`
}

// retry gives a step a new attempt soon, however often that takes.
var retry = workflow.Retry{Attempts: 1000, Delays: []time.Duration{50 * time.Millisecond}}

func workflows(ledger string) []workflow.Definition {
	step := func(name string) workflow.Step[document] {
		return workflow.Do(name, effect(ledger)).Retry(retry).Timeout(time.Minute)
	}
	return []workflow.Definition{
		workflow.New("load", step("first"), step("second"), step("third")),
		workflow.New("poison", step("first"), workflow.Do("die", die(ledger))),
	}
}

func effect(ledger string) func(context.Context, *document) error {
	return func(ctx context.Context, _ *document) error {
		attempt := workflow.FromContext(ctx)
		return soak.Effect{
			Key:     workflow.Key(ctx),
			Run:     attempt.Run.String(),
			Step:    attempt.Name,
			Attempt: attempt.Number,
			Epoch:   attempt.Epoch,
			PID:     os.Getpid(),
			At:      time.Now(),
		}.Post(ctx, ledger)
	}
}

// die kills the process that runs it.
func die(ledger string) func(context.Context, *document) error {
	post := effect(ledger)
	return func(ctx context.Context, d *document) error {
		if err := post(ctx, d); err != nil {
			return err
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
}
