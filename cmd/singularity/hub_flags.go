package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"singularity"
	"singularity/centralcloud/hub"
	"singularity/centralcloud/pgmq"
	"singularity/centralcloud/sqlite"
)

// hubFlags say where the hub of a node is, whether the node is one itself, and how
// often the two talk.
type hubFlags struct {
	url            string
	here           bool
	learner        learnerFlags
	resultsEvery   time.Duration
	learningsEvery time.Duration
}

func registerHubURL(set *pflag.FlagSet, url *string, otherwise string) {
	set.StringVar(url, "centralcloud-database-url", "",
		"the database of the hub that learns from all nodes which model to choose, as postgres://user@host/name (default: "+otherwise+")")
}

// register is for nodes; with is what --centralcloud does, for people.
func (f *hubFlags) register(set *pflag.FlagSet, with string) {
	set.BoolVar(&f.here, "centralcloud", false, "be the hub too, "+with)
	f.learner.register(set)
	set.DurationVar(&f.resultsEvery, "results-every", 30*time.Second, "how often the hub is told of calls of models, when there were any")
	set.DurationVar(&f.learningsEvery, "learnings-every", 10*time.Second, "how often the hub is asked for what it has learned")
}

// hubHome is where the hub of a node keeps what it knows.
type hubHome struct {
	flags       *hubFlags
	databaseURL string // of the node, whose database the hub has if it has no other
	dataDir     string // of a node that has no Postgres
	migrate     bool
	explain     func(error) error // says which flag an error of the node's database is about
}

// channel is a node's way to its hub, which may be in the same process.
type channel struct {
	config singularity.CentralCloud
	hub    *hub.Hub // nil for one elsewhere
	close  func() error
}

// connectionsToHub is one for what goes up, and one for what comes down.
const connectionsToHub = 2

// open makes the way to the hub, and the hub if it is to be here. One that is
// elsewhere need not be there. A node that was told of none looks for one in its own
// database.
func (h hubHome) open(ctx context.Context, models models, log *slog.Logger) (channel, error) {
	nothing := channel{close: func() error { return nil }}
	if !h.flags.here && h.flags.url == "" && h.databaseURL == "" {
		return nothing, nil
	}
	if err := checkTimes(map[string]time.Duration{"results-every": h.flags.resultsEvery, "learnings-every": h.flags.learningsEvery}); err != nil {
		return nothing, err
	}
	way := channel{config: singularity.CentralCloud{ResultsEvery: h.flags.resultsEvery, LearningsEvery: h.flags.learningsEvery}}
	if !h.flags.here {
		queue, err := pgmq.Connect(ctx, pgmq.Config{URL: cmp.Or(h.flags.url, h.databaseURL), Connections: connectionsToHub})
		switch {
		case err != nil && h.flags.url == "":
			return nothing, h.explain(err)
		case err != nil:
			return nothing, fmt.Errorf("--centralcloud-database-url: %w", err)
		case h.flags.url == "":
			way.config.Present = queue.Present
		}
		way.config.Queue, way.close = queue, queue.Close
		return way, nil
	}
	store, err := h.store(ctx)
	if err != nil {
		return nothing, fmt.Errorf("--centralcloud: %w", err)
	}
	way.config.Queue, way.close = store, store.Close
	way.hub, err = h.flags.learner.hub(store, models.table, models.providers, log)
	if err != nil {
		return nothing, fmt.Errorf("--centralcloud: %w", closing(store, err))
	}
	return way, nil
}

// hubStore is a database of a hub.
type hubStore interface {
	hub.Store
	Close() error
}

// store opens the database of a hub in this process.
func (h hubHome) store(ctx context.Context) (hubStore, error) {
	url := cmp.Or(h.flags.url, h.databaseURL)
	switch {
	case url != "":
		return openHubDatabase(ctx, url, h.migrate)
	case h.dataDir != "":
		return sqlite.Open(ctx, h.dataDir)
	default:
		return nil, usagef("with --ephemeral there is nowhere to keep what is learned; give --data-dir instead")
	}
}

func openHubDatabase(ctx context.Context, url string, migrate bool) (*pgmq.Store, error) {
	if migrate {
		if _, err := pgmq.MigrateUp(ctx, url); err != nil {
			return nil, err
		}
	}
	return pgmq.Open(ctx, pgmq.Config{URL: url})
}

// run runs the hub, if it is here, until the function that it returns was called.
func (w channel) run(ctx context.Context) (stop func()) {
	if w.hub == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.hub.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

// metrics adds those of the hub, if it is here, to others.
func (w channel) metrics(others ...prometheus.Collector) []prometheus.Collector {
	if w.hub == nil {
		return others
	}
	return append(others, w.hub.Metrics())
}
