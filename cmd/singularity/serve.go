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

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"singularity"
	"singularity/internal/logging"
	"singularity/server"
	"singularity/workflows"
)

// drainGrace is how long steps under way may go on after a signal.
const drainGrace = 30 * time.Second

// nodeFlags are those of a node, wherever it keeps its runs.
type nodeFlags struct {
	http      string
	httpAsked bool // the user chose http
	queues    queueLimits
	logLevel  logrus.Level
	models    modelFlags
}

func (f *nodeFlags) register(set *pflag.FlagSet) {
	f.registerHTTP(set)
	set.Var(&f.queues, "queues", "the queues to work, and how many runs of each at once (default default=10,metrics=5,training=2,pattern_mining=3)")
	set.TextVar(&f.logLevel, "log-level", logrus.InfoLevel, "`level` of what is logged on stderr: error, warning, info, debug or trace")
	f.models.register(set)
}

func (f *nodeFlags) registerHTTP(set *pflag.FlagSet) {
	set.StringVar(&f.http, "http", "127.0.0.1:4000", "where to listen, on loopback; port 0 is any free one")
}

// home is where a node keeps its runs.
type home struct {
	config  singularity.Config        // the fields that say where
	about   string                    // for people
	explain func(error) error         // says which flag an error of Open is about
	agents  func(*slog.Logger) agents // that live there, beside those that attach
}

// runNode runs a node until ctx ends or the node gives up.
func (c *cli) runNode(ctx context.Context, flags nodeFlags, home home) error {
	log := slog.New(logging.Handler(logging.New(c.stderr, flags.logLevel)))
	models, err := c.models(flags.models, log)
	if err != nil {
		return err
	}
	listener, replaced, err := listen(ctx, flags.http, flags.httpAsked)
	if err != nil {
		return err
	}
	engine, err := openNode(ctx, flags, home, models, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if replaced {
		fmt.Fprintf(c.stderr, "%s is in use; listening on %s instead: give clients --address http://%[2]s\n", flags.http, listener.Addr())
	}
	return serveUntilDone(ctx, engine, listener, log, func() error {
		return c.printReady(readiness{
			URL:      "http://" + listener.Addr().String(),
			PID:      os.Getpid(),
			Instance: engine.Instance(),
			DataDir:  home.config.DataDir,
			Provider: models.provider,
		}, home.about)
	})
}

// capabilities are what the built-in workflows can do, for the registry.
const capabilities = `{"llm":true,"embedding":true,"agents":true}`

// openNode opens an engine with the built-in workflows and the agents of its home.
func openNode(ctx context.Context, flags nodeFlags, home home, models models, log *slog.Logger) (*singularity.Engine, error) {
	config := home.config
	config.Queues, config.Logger = flags.queues, log
	config.Version, config.Capabilities = thisBuild().Version, capabilities
	engine, err := singularity.Open(ctx, config, models.workflows()...)
	if err != nil {
		return nil, home.explain(err)
	}
	err = engine.Register(workflows.AgentCoordination(engine))
	if err == nil && home.agents != nil {
		err = home.agents(log).register(ctx, engine)
	}
	if err != nil {
		return nil, errors.Join(err, engine.Close(ctx))
	}
	return engine, nil
}

// node is an engine that serves until it is told to stop, or gives up.
type node interface {
	server.Engine
	Close(ctx context.Context) error
	Done() <-chan struct{}
	Err() error
}

// serveUntilDone serves the API of engine until ctx ends or the engine gives
// up, and closes the engine.
func serveUntilDone(ctx context.Context, engine node, listener net.Listener, log *slog.Logger, ready func() error) error {
	// The API outlives ctx: whoever waits for a run hears of its end while the
	// engine drains.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	served := make(chan error, 1)
	go func() {
		defer close(served)
		served <- server.Serve(serving, listener, server.Handler(engine, server.Config{Logger: log}))
	}()

	err := ready()
	if err == nil {
		select {
		case <-ctx.Done():
			log.Info("stopping: steps under way may finish; the same signal again stops at once", "grace", drainGrace)
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

// listen opens the port of the API. A default port that is in use is replaced
// by a free one; one that the user asked for is not.
func listen(ctx context.Context, address string, asked bool) (listener net.Listener, replaced bool, err error) {
	listener, err = server.Listen(ctx, address)
	if !asked && errors.Is(err, syscall.EADDRINUSE) {
		listener, err = server.Listen(ctx, "127.0.0.1:0")
		replaced = err == nil
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, false, fmt.Errorf("--http: %w; choose another port, or 0 for any free one", err)
	case err != nil:
		return nil, false, fmt.Errorf("--http: %w", err)
	}
	return listener, replaced, nil
}
