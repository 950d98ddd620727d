package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"singularity/cluster/certs"
)

func (c *cli) certsNode() *cobra.Command {
	var authority, out string
	command := &cobra.Command{
		Use:   "node HOST...",
		Short: "Make the certificate of a node, for the names and addresses that reach it",
		Long: `Make the certificate of a node, for the host names and IP addresses at which the
other nodes reach it. Copy the folder with its three files to the node, and give
the node --tls-dir with the copy.

A certificate is good for a year. To renew it, make another one and copy it over
the first: the node takes it up without a restart.`,
		Example: `  singularity certs node node-1.internal 10.0.0.5
  singularity certs node --out /mnt/node-1 10.0.0.5`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("expected HOST...: where other nodes reach this one, such as node-1.internal or 10.0.0.5")
			}
			return nil
		},
	}
	authorityDir(command.Flags(), &authority)
	command.Flags().StringVar(&out, "out", "", "the folder for the files of the node (default: one with the name of the first HOST)")
	command.RunE = c.act(func(_ context.Context, hosts []string) error {
		dir := cmp.Or(out, hosts[0])
		if err := certs.Node(authority, dir, hosts...); err != nil {
			return err
		}
		fmt.Fprintf(c.stderr, "next: copy %s to the node, readable by its user alone, and give it --tls-dir with the copy\n", dir)
		return c.printCerts([]certFile{
			{filepath.Join(dir, certs.AuthorityCert), "the node: whom it trusts"},
			{filepath.Join(dir, certs.NodeCert), "the node: who it is, as server and as client"},
			{filepath.Join(dir, certs.NodeKey), "the node, and nobody else"},
		})
	})
	return command
}
