package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"singularity"
	"singularity/cluster"
)

// sharedFlags are the flags of node.
type sharedFlags struct {
	nodeFlags
	database databaseFlags
	cluster  clusterFlags
	hub      hubFlags
	instance string
	migrate  bool
	examples bool // agents
}

func (c *cli) node() *cobra.Command {
	var flags sharedFlags
	command := &cobra.Command{
		Use:   "node",
		Short: "Run a node on a Postgres database, beside others",
		Long: `Run a node on a Postgres database, with the built-in workflows. Any number of
nodes may use one database: they find each other, share its work, and take over the
runs of those that die. Ctrl-C, or SIGTERM, lets the steps under way finish, for 30s at most,
and a second one stops at once; the other nodes go on with the unfinished runs.`,
		Args: arguments(),
	}
	set := command.Flags()
	flags.register(set)
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		if err := flags.database.check(); err != nil {
			return err
		}
		flags.http.asked = set.Changed("http")
		return c.runNode(ctx, flags.nodeFlags, flags.home())
	})
	return command
}

func (f *sharedFlags) register(set *pflag.FlagSet) {
	f.database.register(set)
	set.StringVar(&f.instance, "instance-id", "", "what people know the node by, while it runs unlike all others (default: host:pid)")
	set.BoolVar(&f.migrate, "migrate", false, "bring the schema up to date first, as singularity migrate up does")
	set.BoolVar(&f.examples, "example-agents", false, "have the agents echo and scribe, which log their messages")
	f.cluster.register(set)
	registerHubURL(set, &f.hub.url, "the node's own, if there is a hub in it, or as soon as there is one")
	f.hub.register(set, "in --centralcloud-database-url or the node's own database; --migrate brings that up to date as well")
	f.nodeFlags.register(set)
}

func (f *sharedFlags) home() home {
	at := home{
		config: singularity.Config{
			DatabaseURL:        f.database.url,
			SessionDatabaseURL: f.database.sessionURL,
			Migrate:            f.migrate,
			Instance:           f.instance,
		},
		about:   f.database.about(),
		explain: f.explain,
		cluster: &f.cluster,
		hub:     hubHome{flags: &f.hub, databaseURL: f.database.direct(), migrate: f.migrate, explain: f.explain},
	}
	if f.examples {
		at.agents = func(log *slog.Logger) agents { return exampleAgents("", log) }
	}
	return at
}

// explain says which flag an error of Open is about.
func (f *sharedFlags) explain(err error) error {
	if fault, ok := errors.AsType[*cluster.SetupError](err); ok {
		return explainSetup(fault)
	}
	return f.database.explain(err)
}

func explainSetup(fault *cluster.SetupError) error {
	flag := map[cluster.Part]string{
		cluster.OfGossip: "--gossip", cluster.OfActors: "--actors", cluster.OfCertificates: "--tls-dir",
	}[fault.Part]
	if errors.Is(fault, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %w; choose another port, or 0 for any free one, or ask singularity doctor who has it", flag, fault)
	}
	return fmt.Errorf("%s: %w", flag, fault)
}
