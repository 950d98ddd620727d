package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"singularity/cluster/certs"
)

// certFile is a file that was written, and who needs it.
type certFile struct {
	Path string `json:"path"`
	For  string `json:"for"`
}

func (c *cli) certsInit() *cobra.Command {
	var dir, cluster string
	command := &cobra.Command{
		Use:   "init",
		Short: "Make the certificate authority of a new cluster",
		Long: `Make the certificate authority of a new cluster: once, and on a machine that
runs no node. Whoever has its key can make nodes of the cluster. An authority that
is there already is never replaced.`,
		Args: arguments(),
	}
	authorityDir(command.Flags(), &dir)
	command.Flags().StringVar(&cluster, "cluster", "singularity", "what the cluster is called: its nodes refuse those of others")
	command.RunE = c.act(func(context.Context, []string) error {
		if err := certs.Init(dir, cluster); err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "next, for each node: singularity certs node --ca-dir %s HOST...\n", dir)
		return c.printCerts([]certFile{
			{filepath.Join(dir, certs.AuthorityCert), "every node"},
			{filepath.Join(dir, certs.AuthorityKey), "you alone: keep it safe, it stays here"},
		})
	})
	return command
}

func authorityDir(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "ca-dir", "./ca", "the folder of the certificate authority")
}

func (c *cli) printCerts(files []certFile) error {
	return c.print(files, func(t *table) {
		t.row("FILE", "FOR")
		for _, f := range files {
			t.row(f.Path, f.For)
		}
	})
}
