// Node is one of several processes that share a database, with workflows whose
// every step has an effect on a ledger. The tests of package soak start it, and
// build it with the tag faulttest.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"singularity"
	"singularity/server"
)

// grace is how long the steps under way have after SIGTERM.
const grace = 30 * time.Second

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
	name := flag.String("cluster", "", "the name that the nodes have in common, and no others on this machine")
	host := flag.String("host", "127.0.0.1", "the address that everything listens at, unless it has one of its own")
	api := flag.String("http", "", "where clients reach the node")
	gossip := flag.String("gossip", "", "where the others find the node")
	actors := flag.String("actors", "", "where the others talk to the node")
	tlsDir := flag.String("tls-dir", "", "folder of the certificate for the other nodes, needed beyond loopback")
	gossipKeys := flag.String("gossip-key-file", "", "file of the keys that the nodes share, needed beyond loopback")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	queues := map[string]int{"default": 32}
	if *claims {
		queues["claims"] = 1
	}
	free := net.JoinHostPort(*host, "0")
	config := singularity.Config{DatabaseURL: *database, Queues: queues}
	if *talk {
		config.Cluster = &singularity.Cluster{
			Name:   *name,
			Gossip: cmp.Or(*gossip, free), Actors: cmp.Or(*actors, free), TLSDir: *tlsDir, GossipKeyFile: *gossipKeys,
		}
	}
	engine, err := singularity.Open(ctx, config, workflows(*ledger)...)
	if err != nil {
		return err
	}
	// The tests alone reach it, so it needs no TLS and no tokens.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(*api, free))
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
	serveErr := server.Serve(serving, listener, beside(server.Handler(engine, server.Config{Hosts: []string{*host}})))

	closing, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return errors.Join(engine.Err(), engine.Close(closing), serveErr)
}

// beside adds what else is served. Fault tests change it.
var beside = func(api http.Handler) http.Handler { return api }
