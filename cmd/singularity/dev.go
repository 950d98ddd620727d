package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"singularity"
	"singularity/internal/logging"
	"singularity/server"
)

// drainGrace is how long steps under way may go on after a signal.
const drainGrace = 30 * time.Second

// devFlags are the flags of dev.
type devFlags struct {
	dataDir   string
	ephemeral bool
	http      string
	httpAsked bool // the user chose http
	queues    queueLimits
	logLevel  logrus.Level
	models    modelFlags
}

// registerPlaces registers the flags that say where things are.
func (f *devFlags) registerPlaces(set *pflag.FlagSet) {
	set.StringVar(&f.dataDir, "data-dir", "./.singularity", "the folder of the database")
	set.StringVar(&f.http, "http", "127.0.0.1:4000", "where to listen, on loopback; port 0 is any free one")
}

func (c *cli) dev() *cobra.Command {
	var flags devFlags
	command := &cobra.Command{
		Use:   "dev",
		Short: "Run one node with an embedded database",
		Long: `Run one node with an embedded database, the built-in workflows and two agents,
echo and scribe. Ctrl-C lets the steps under way finish, for 30s at most, and a
second one stops at once; the next start goes on with the unfinished runs.`,
		Args: arguments(),
	}
	set := command.Flags()
	flags.registerPlaces(set)
	set.BoolVar(&flags.ephemeral, "ephemeral", false, "keep everything in memory: nothing outlives the process")
	set.Var(&flags.queues, "queues", "the queues to work, and how many runs of each at once (default default=10,metrics=5,training=2,pattern_mining=3)")
	set.TextVar(&flags.logLevel, "log-level", logrus.InfoLevel, "`level` of what is logged on stderr: error, warning, info, debug or trace")
	flags.models.register(set)
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		flags.httpAsked = set.Changed("http")
		if flags.ephemeral {
			flags.dataDir = ""
		} else if absolute, err := filepath.Abs(flags.dataDir); err == nil {
			flags.dataDir = absolute // tells people where it is
		}
		return c.runDev(ctx, flags)
	})
	return command
}

// runDev runs a node until ctx ends or the node gives up.
func (c *cli) runDev(ctx context.Context, flags devFlags) error {
	log := slog.New(logging.Handler(logging.New(c.stderr, flags.logLevel)))
	models, err := c.models(flags.models, log)
	if err != nil {
		return err
	}
	listener, replaced, err := listen(ctx, flags.http, flags.httpAsked)
	if err != nil {
		return err
	}
	engine, err := openDev(ctx, flags, models, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if replaced {
		fmt.Fprintf(c.stderr, "%s is in use; listening on %s instead: give clients --address http://%[2]s\n", flags.http, listener.Addr())
	}

	return serveUntilDone(ctx, engine, listener, log, func() error {
		return c.printReady(listener, flags.dataDir, models.provider)
	})
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

// openDev opens an engine with all that dev brings along.
func openDev(ctx context.Context, flags devFlags, models models, log *slog.Logger) (*singularity.Engine, error) {
	engine, err := singularity.Open(ctx, singularity.Config{
		DataDir: flags.dataDir,
		Queues:  flags.queues,
		Logger:  log,
		Version: thisBuild().Version,
	}, models.workflows()...)
	if err != nil {
		return nil, fmt.Errorf("--data-dir %s: %w", flags.dataDir, err)
	}
	if err := registerAgents(ctx, engine, flags.dataDir, log); err != nil {
		return nil, errors.Join(err, engine.Close(ctx))
	}
	return engine, nil
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

// firstRequest is what a newcomer may try.
const firstRequest = `{"request_id":"r1","task_type":"classifier","messages":[{"role":"user","content":"Is this spam?"}]}`

// printReady says where the node is and what to do with it.
func (c *cli) printReady(listener net.Listener, dataDir, provider string) error {
	ready := struct {
		URL      string `json:"url"`
		PID      int    `json:"pid"`
		DataDir  string `json:"data_dir,omitempty"` // empty: in memory
		Provider string `json:"provider"`
	}{"http://" + listener.Addr().String(), os.Getpid(), dataDir, provider}
	return c.print(ready, func(t *table) {
		t.row("URL", ready.URL)
		t.row("PID", ready.PID)
		if dataDir == "" {
			t.row("DATA", "in memory, gone when the process ends")
		} else {
			t.row("DATA", dataDir)
		}
		t.row("MODELS", provider)
		program := "singularity"
		if ready.URL != defaultAddress {
			program += " --address " + ready.URL
		}
		t.row("TRY", program+" run start llm_request --wait --input '"+firstRequest+"'")
	})
}
