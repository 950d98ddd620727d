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
	Key  string `json:"key,omitempty"` // that queues may limit the run by
}

// retry gives a step a new attempt soon, however often that takes.
var retry = workflow.Retry{Attempts: 1000, Delays: []time.Duration{50 * time.Millisecond}}

func workflows(ledger string) []workflow.Definition {
	step := func(name string) workflow.Step[document] {
		return workflow.Do(name, effect(ledger)).Retry(retry).Timeout(time.Minute)
	}
	occupied := func(name string) workflow.Step[document] {
		return workflow.Do(name, occupy(ledger)).Retry(retry).Timeout(time.Minute)
	}
	return []workflow.Definition{
		workflow.New("load", step("first"), step("second"), step("third")),
		workflow.New("limited", occupied("first"), occupied("second")),
		workflow.New("patient", step("only").Timeout(time.Hour)),
		workflow.New("poison", step("first"), workflow.Do("die", die(ledger))),
	}
}

func effect(ledger string) func(context.Context, *document) error {
	return func(ctx context.Context, _ *document) error { return effectOf(ctx).Post(ctx, ledger) }
}

// effectOf is the effect of an attempt.
func effectOf(ctx context.Context) soak.Effect {
	attempt := workflow.FromContext(ctx)
	return soak.Effect{
		Key:     workflow.Key(ctx),
		Run:     attempt.Run.String(),
		Step:    attempt.Name,
		Attempt: attempt.Number,
		Epoch:   attempt.Epoch,
		PID:     os.Getpid(),
		At:      time.Now(),
	}
}

// occupy has an effect when the step begins, and one when it ends. As with much
// of what steps do in the world, nothing stops it but the end of its process.
func occupy(ledger string) func(context.Context, *document) error {
	return func(ctx context.Context, _ *document) error {
		world := context.WithoutCancel(ctx)
		if err := effectOf(ctx).Post(world, ledger); err != nil {
			return err
		}
		end := effectOf(ctx)
		end.Ends = true
		return end.Post(world, ledger)
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
