package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"singularity/centralcloud/hub"
	"singularity/persistence/postgres"
	"singularity/server"
	"singularity/server/tokens"
)

// hubAddress is where a hub listens unless it is told otherwise.
const hubAddress = "127.0.0.1:4001"

// hubReadiness is where a hub is, once it is there.
type hubReadiness struct {
	URL      string `json:"url"`
	PID      int    `json:"pid"`
	Database string `json:"database"`
	Tokens   bool   `json:"tokens"`            // clients need one
	CAFile   string `json:"ca_file,omitempty"` // that clients need
}

// serveHub runs a hub, and tells how it fares, until ctx ends. It closes the
// endpoint.
func (c *cli) serveHub(ctx context.Context, h *hub.Hub, endpoint *endpoint, database hubDatabase, log *slog.Logger) error {
	config := server.Config{Logger: log}
	if endpoint.public {
		store, err := openHubTokens(ctx, database.nodes)
		if err != nil {
			return errors.Join(err, endpoint.Close())
		}
		defer func() { _ = store.Close() }() // nothing of it is left to be written
		config.Tokens = tokens.NewVerifier(store, log)
	}
	if endpoint.replaced {
		fmt.Fprintf(c.stderr, "%s is in use; listening on %s instead\n", hubAddress, endpoint.Addr())
	}
	running, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() {
		defer stop() // a hub that nobody can look at does not go on
		served <- server.Serve(running, endpoint, server.HealthHandler(h, config))
	}()
	err := c.printHubReady(hubReadiness{URL: endpoint.url, PID: os.Getpid(), Database: database.about(), Tokens: endpoint.public, CAFile: endpoint.caFile})
	if err == nil {
		h.Run(running)
	}
	stop()
	return errors.Join(err, <-served)
}

// openHubTokens opens where the tokens are that `token create` makes.
func openHubTokens(ctx context.Context, nodes databaseFlags) (interface {
	tokens.Store
	io.Closer
}, error,
) {
	if nodes.url == "" {
		return nil, usagef("--http: beyond loopback clients need tokens, which are in the database of nodes; give --database-url as well, or an --http on loopback")
	}
	store, err := postgres.Open(ctx, postgres.Config{URL: nodes.url, SessionURL: nodes.sessionURL})
	if err != nil {
		return nil, fmt.Errorf("beyond loopback clients need tokens, which are in the database of nodes: %w", nodes.explain(err))
	}
	return store, nil
}

func (c *cli) printHubReady(ready hubReadiness) error {
	return c.print(ready, func(t *table) {
		t.row("URL", ready.URL)
		t.row("PID", ready.PID)
		t.row("DATABASE", ready.Database)
		t.row("SERVES", "/livez, /readyz and /metrics")
		if ready.Tokens {
			t.row("ACCESS", "to /metrics with a token; `singularity token create --scope read` makes one")
		}
	})
}
