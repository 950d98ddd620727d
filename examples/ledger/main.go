// Ledger moves money between accounts of an outside ledger, one effect a step.
//
// Each effect carries the step's idempotency key. However often the process is
// killed, a transfer goes on at the step after its last checkpoint: the ledger
// sees every effect at least once, in order, and knows a repetition by its key.
//
//	go run ./examples/ledger -ledger http://127.0.0.1:9000 -data-dir data
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"singularity"
	"singularity/server"
	"singularity/workflow"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

func run() error {
	url := flag.String("ledger", "", "URL of the ledger")
	dataDir := flag.String("data-dir", "ledger-data", "folder of the embedded database")
	address := flag.String("http", "127.0.0.1:4000", "where the API listens")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	engine, err := singularity.Open(ctx, singularity.Config{
		DataDir: *dataDir,
		Queues:  map[string]int{"default": 32},
	}, workflows(Ledger{*url})...)
	if err != nil {
		return err
	}
	listener, err := server.Listen(ctx, *address)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	serveErr := server.Serve(ctx, listener, server.Handler(engine, server.Config{}))

	closing, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := engine.Close(closing); err != nil {
		return err
	}
	return serveErr
}

// workflows lists what the program runs; more join it for the crash tests.
func workflows(ledger Ledger) []workflow.Definition {
	return append([]workflow.Definition{NewTransfers(ledger)}, planted(ledger)...)
}
