// Temporal is the contender of that name: the whole server in one process with
// its worker and its client. It is a program and a module of its own because
// its dependencies are many and old.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"singularity/benchmarks/contender"
)

func main() {
	// The answers go to standard output, and what Temporal logs must not.
	answers := os.Stdout
	os.Stdout = os.Stderr
	if err := run(os.Args[1:], answers); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run(arguments []string, answers io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(arguments) == 0 || arguments[0] != contender.Command {
		return fmt.Errorf("the benchmarks start this program: -temporal %s", os.Args[0])
	}
	_, job, _, err := contender.ParseArguments(arguments[1:])
	if err != nil {
		return err
	}
	return contender.Serve(ctx, &cluster{}, job, os.Stdin, answers)
}
