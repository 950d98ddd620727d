package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"singularity/internal/logging"
	"singularity/llm"
	"singularity/llm/simulated"
)

// soloFlags are those of a hub without a node.
type soloFlags struct {
	database  hubDatabase
	http      httpFlags
	migrate   bool
	learner   learnerFlags
	providers []string
	table     string
	logLevel  logrus.Level
}

func (c *cli) centralcloud() *cobra.Command {
	var flags soloFlags
	command := &cobra.Command{
		Use:   "centralcloud",
		Short: "Run the hub that learns from the results of all nodes, or look at what it learned",
		Long: `Run the hub that learns from the results of all nodes which model to choose for
which task, until Ctrl-C or SIGTERM. "singularity node --centralcloud" and "dev
--centralcloud" are a node and a hub in one. Of several hubs of a database one
leads, and the others wait until it is gone.

Nodes reach it by its database and by nothing else: those that use the same one
find it by themselves, others are told of it by --centralcloud-database-url. What it
listens to is /livez, /readyz and /metrics. docs/centralcloud.md has what they say to
each other.`,
		Args: arguments(),
	}
	set := command.Flags()
	flags.database.register(set, "that of --database-url")
	flags.http.register(set, hubAddress)
	set.BoolVar(&flags.migrate, "migrate", false, "bring the hub's schema up to date first, and install pgmq where it is missing")
	set.StringSliceVar(&flags.providers, "provider", nil, "whose models there are to choose from (default: all of the table of models but the simulated ones)")
	set.StringVar(&flags.table, "models", "", "a file with models and their prices (default: a table that is built in)")
	flags.learner.register(set)
	set.TextVar(&flags.logLevel, "log-level", logrus.InfoLevel, "`level` of what is logged on stderr: error, warning, info, debug or trace")
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		flags.http.asked = set.Changed("http")
		return c.runHub(ctx, flags)
	})
	command.AddCommand(c.centralcloudPolicy(), c.centralcloudExplain(), c.centralcloudPatterns(), c.centralcloudBenchmarks(),
		c.centralcloudSavings(), c.centralcloudDeadLetters(), c.centralcloudLearn())
	return command
}

// runHub runs a hub alone until ctx ends.
func (c *cli) runHub(ctx context.Context, flags soloFlags) error {
	if flags.database.url() == "" {
		return errNoHubDatabase
	}
	table, err := loadTable(flags.table)
	if err != nil {
		return err
	}
	providers := flags.providers
	if providers == nil {
		providers = realProviders(table)
	}
	endpoint, err := flags.http.listen(ctx)
	if err != nil {
		return err
	}
	store, err := openHubDatabase(ctx, flags.database.url(), flags.migrate)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", flags.database.flag(), err), endpoint.Close())
	}
	log := slog.New(logging.Handler(logging.New(c.stderr, flags.logLevel)))
	h, err := flags.learner.hub(store, table, providers, log)
	if err != nil {
		return errors.Join(closing(store, err), endpoint.Close())
	}
	return closing(store, c.serveHub(ctx, h, endpoint, flags.database, log))
}

func realProviders(table *llm.Table) []string {
	var names []string
	for _, model := range table.Models {
		if model.Provider != simulated.Name && !slices.Contains(names, model.Provider) {
			names = append(names, model.Provider)
		}
	}
	return names
}
