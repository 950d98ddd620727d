// Temporal is the contender of that name: the whole server in one process with
// its worker and its client. It is a program and a module of its own because
// its dependencies are many and old.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"singularity/benchmarks/contender"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The answers go to standard output, and what Temporal logs must not.
	answers := os.Stdout
	os.Stdout = os.Stderr
	if err := run(ctx, os.Args[1:], answers); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, answers *os.File) error {
	if len(arguments) == 0 || arguments[0] != contender.Command {
		return fmt.Errorf("the benchmarks start this program: -contenders temporal -temporal %s", os.Args[0])
	}
	_, job, _, err := contender.ParseArguments(arguments[1:])
	if err != nil {
		return err
	}
	return contender.Serve(ctx, &cluster{}, job, os.Stdin, answers)
}
