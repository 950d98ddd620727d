// Node is one of several processes that share a database, with workflows whose
// every step has an effect on a ledger. The tests of package soak start it, and
// build it with the tag faulttest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"singularity"
	"singularity/server"
)

const (
	// grace is how long the steps under way have after SIGTERM.
	grace = 30 * time.Second

	anyPort = "127.0.0.1:0"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run() error {
	database := flag.String("database-url", "", "the database that the nodes share")
	ledger := flag.String("ledger", "", "URL that takes effects")
	claims := flag.Bool("claims", false, "also have the queue claims, with one slot")
	talk := flag.Bool("talk", false, "find the other nodes, and talk to them")
	http := flag.String("http", anyPort, "where clients reach the node")
	gossip := flag.String("gossip", anyPort, "where the others find the node")
	actors := flag.String("actors", anyPort, "where the others talk to the node")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	queues := map[string]int{"default": 32}
	if *claims {
		queues["claims"] = 1
	}
	config := singularity.Config{DatabaseURL: *database, Queues: queues}
	if *talk {
		config.Cluster = &singularity.Cluster{Gossip: *gossip, Actors: *actors}
	}
	engine, err := singularity.Open(ctx, config, workflows(*ledger)...)
	if err != nil {
		return err
	}
	listener, err := server.Listen(ctx, *http)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	serving, end := context.WithCancel(ctx)
	defer end()
	go func() {
		select {
		case <-engine.Done():
			end()
		case <-serving.Done():
		}
	}()
	serveErr := server.Serve(serving, listener, server.Handler(engine, server.Config{}))

	closing, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return errors.Join(engine.Err(), engine.Close(closing), serveErr)
}
