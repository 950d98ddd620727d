package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"singularity"
	"singularity/internal/logging"
	"singularity/server"
	"singularity/server/tokens"
	"singularity/workflows"
)

// drainGrace is how long steps under way may go on after a signal.
const drainGrace = 30 * time.Second

// nodeAddress is where a node listens unless it is told otherwise.
const nodeAddress = "127.0.0.1:4000"

// nodeFlags are those of a node, wherever it keeps its runs.
type nodeFlags struct {
	http     httpFlags
	queues   queueLimits
	retained retainedFor
	logLevel logrus.Level
	models   modelFlags
}

func (f *nodeFlags) register(set *pflag.FlagSet) {
	f.http.register(set, nodeAddress)
	set.Var(&f.queues, "queues", "the queues to work, and how many runs of each at once (default default=10,metrics=5,training=2,pattern_mining=3)")
	set.Var(&f.retained, "retain", "for how long runs are kept once they have ended (default completed=24h,failed=7d; cancelled as completed, quarantined as failed)")
	set.TextVar(&f.logLevel, "log-level", logrus.InfoLevel, "`level` of what is logged on stderr: error, warning, info, debug or trace")
	f.models.register(set)
}

// home is where a node keeps its runs.
type home struct {
	config  singularity.Config // the fields that say where
	about   string             // for people
	explain func(error) error  // says which flag an error of Open is about
	cluster *clusterFlags      // nil where nobody else is
	hub     hubHome
	agents  func(*slog.Logger) agents // that live there, beside those that attach
}

// runNode runs a node until ctx ends or the node gives up.
func (c *cli) runNode(ctx context.Context, flags nodeFlags, home home) error {
	log := slog.New(logging.Handler(logging.New(c.stderr, flags.logLevel)))
	models, err := c.models(flags.models, log)
	if err != nil {
		return err
	}
	endpoint, err := flags.http.listen(ctx)
	if err != nil {
		return err
	}
	if endpoint.public && home.config.DatabaseURL == "" && home.config.DataDir == "" {
		return errors.Join(usagef("--ephemeral: beyond loopback clients need tokens, which are kept in a database; give --data-dir instead, or an --http on loopback"), endpoint.Close())
	}
	if home.cluster != nil {
		home.config.Cluster = home.cluster.config(flags.http.tlsDir, endpoint.url)
	}
	hub, err := home.hub.open(ctx, models, log)
	if err != nil {
		return errors.Join(err, endpoint.Close())
	}
	home.config.CentralCloud = hub.config
	engine, err := openNode(ctx, flags, home, models, log)
	if err != nil {
		return errors.Join(err, endpoint.Close(), hub.close())
	}
	stopHub := hub.run(ctx)
	if endpoint.replaced {
		fmt.Fprintf(c.stderr, "%s is in use; listening on %s instead: give clients --address %s\n", flags.http.address, endpoint.Addr(), endpoint.url)
	}
	config := server.Config{Logger: log}
	if endpoint.public {
		config.Tokens = tokens.NewVerifier(engine.Tokens(), log)
	}
	err = serveUntilDone(ctx, metered{engine, hub.metrics(models.router.Metrics())}, endpoint, config, func() error {
		return c.printReady(readiness{
			URL:      endpoint.url,
			PID:      os.Getpid(),
			Instance: engine.Instance(),
			DataDir:  home.config.DataDir,
			Provider: models.about(),
			Tokens:   endpoint.public,
			CAFile:   endpoint.caFile,
		}, home.about)
	})
	stopHub()
	return errors.Join(err, hub.close())
}

// capabilities are what the built-in workflows can do, for the registry.
const capabilities = `{"llm":true,"embedding":true,"agents":true}`

// openNode opens an engine with the built-in workflows and the agents of its home.
func openNode(ctx context.Context, flags nodeFlags, home home, models models, log *slog.Logger) (*singularity.Engine, error) {
	config := home.config
	config.Queues, config.Retention, config.Logger = flags.queues, flags.retained.policy, log
	config.Version, config.Capabilities = thisBuild().Version, capabilities
	engine, err := singularity.Open(ctx, config, models.workflows()...)
	if err != nil {
		return nil, home.explain(err)
	}
	models.ledger.open(engine.Budgets())
	models.policies.follow(engine)
	err = engine.Register(workflows.AgentCoordination(engine))
	if err == nil && home.agents != nil {
		err = home.agents(log).register(ctx, engine)
	}
	if err != nil {
		return nil, errors.Join(err, engine.Close(ctx))
	}
	return engine, nil
}

// metered is an engine that also tells of what is beside it.
type metered struct {
	*singularity.Engine
	beside []prometheus.Collector // what it asks of models, and its hub
}

// Metrics implements [server.Engine].
func (m metered) Metrics() prometheus.Collector {
	registry := prometheus.NewRegistry()
	registry.MustRegister(append(m.beside, m.Engine.Metrics())...)
	return registry
}

// node is an engine that serves until it is told to stop, or to drain, or gives up.
type node interface {
	server.Engine
	Close(ctx context.Context) error
	DrainAsked() <-chan struct{}
	Done() <-chan struct{}
	Err() error
}

// serveUntilDone serves the API of engine until ctx ends, somebody asks the engine
// to drain, or it gives up, and closes the engine.
func serveUntilDone(ctx context.Context, engine node, listener net.Listener, config server.Config, ready func() error) error {
	// The API outlives ctx: whoever waits for a run hears of its end while the
	// engine drains.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() {
		defer close(served)
		served <- server.Serve(serving, listener, server.Handler(engine, config))
	}()

	err := ready()
	if err == nil {
		select {
		case <-ctx.Done():
			config.Logger.Info("stopping: steps under way may finish; the same signal again stops at once", "grace", drainGrace)
		case <-engine.DrainAsked():
			config.Logger.Info("draining: steps under way may finish; a signal stops at once", "grace", drainGrace)
		case <-engine.Done():
			err = fmt.Errorf("the engine gave up: %w; start it again, it goes on with the unfinished runs", engine.Err())
		case err = <-served:
		}
	}
	err = errors.Join(err, closeEngine(ctx, engine))
	stopServing()
	return errors.Join(err, <-served)
}

// closeEngine drains the engine until the grace or the user's patience ends.
func closeEngine(ctx context.Context, engine node) error {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, drainGrace)
	defer cancel()
	return engine.Close(ctx)
}
