package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"singularity"
)

// devFlags are the flags of dev.
type devFlags struct {
	nodeFlags
	dataDir   string
	ephemeral bool
	hub       hubFlags
}

func registerDataDir(set *pflag.FlagSet, dir *string) {
	set.StringVar(dir, "data-dir", "./.singularity", "the folder of the database")
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
	registerDataDir(set, &flags.dataDir)
	set.BoolVar(&flags.ephemeral, "ephemeral", false, "keep everything in memory: nothing outlives the process")
	flags.register(set)
	flags.hub.register(set, "with a database beside the node's")
	command.RunE = c.act(func(ctx context.Context, _ []string) error {
		flags.http.asked = set.Changed("http")
		if flags.ephemeral {
			flags.dataDir = ""
		} else if absolute, err := filepath.Abs(flags.dataDir); err == nil {
			flags.dataDir = absolute // tells people where it is
		}
		return c.runNode(ctx, flags.nodeFlags, flags.home())
	})
	return command
}

func (f devFlags) home() home {
	about := f.dataDir
	if f.ephemeral {
		about = "in memory, gone when the process ends"
	}
	return home{
		config:  singularity.Config{DataDir: f.dataDir},
		about:   about,
		explain: func(err error) error { return fmt.Errorf("--data-dir %s: %w", f.dataDir, err) },
		hub:     hubHome{flags: &f.hub, dataDir: f.dataDir},
		agents:  func(log *slog.Logger) agents { return exampleAgents(f.dataDir, log) },
	}
}
