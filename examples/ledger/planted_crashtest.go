//go:build crashtest

package main

import (
	"context"
	"os"
	"syscall"

	"singularity/workflow"
)

// planted adds a workflow whose second step kills its own process.
func planted(ledger Ledger) []workflow.Definition {
	return []workflow.Definition{
		workflow.Define("poison", accept, result,
			workflow.Do("reserve", ledger.effect("reserve")),
			workflow.Do("die", func(ctx context.Context, s *transferring) error {
				if err := ledger.effect("die")(ctx, s); err != nil {
					return err
				}
				if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}),
		),
	}
}
