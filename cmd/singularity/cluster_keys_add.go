package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"singularity/cluster/gossip"
	"singularity/messages"
)

func (c *cli) clusterKeysAdd() *cobra.Command {
	var generate bool
	command := &cobra.Command{
		Use:   "add FILE",
		Short: "Make all nodes understand one more key; they encrypt with theirs as before",
		Long: `Make all nodes understand one more key; they encrypt with theirs as before. FILE has
the key, 16, 24 or 32 bytes in base64, and - is stdin. A key is no argument of a
command: those are in the history of the shell and in the list of processes.

With --generate the key is a new random one, and FILE is written, for its owner alone
to read. Keep it until all nodes have the key, those too that are down now.`,
		Example: `  singularity cluster keys add --generate new.key
  singularity cluster keys add - < new.key`,
		Args: arguments("FILE"),
	}
	command.Flags().BoolVar(&generate, "generate", false, "make a new random key, and write it to FILE, which is not there yet")
	command.RunE = c.call(func(ctx context.Context, node *client, args []string) error {
		if at, err := url.Parse(c.address); err != nil || eavesdropped(at) {
			return usagef("--address %s is not encrypted, and the key could be read on the way; use https://", c.address)
		}
		read := c.readKey
		if generate {
			read = c.makeKey
		}
		key, err := read(args[0])
		if err != nil {
			return err
		}
		response, err := node.cluster.AddKey(ctx, &messages.AddKeyRequest{Key: key.Encode()})
		if err != nil {
			return fmt.Errorf("add key %s: %w", key, err)
		}
		return c.printChangedKeys(nodeKeysOf(response.GetNodes()), fmt.Sprintf("`singularity cluster keys use %s`", key))
	})
	return command
}

// readKey reads the one key of a file, or of stdin. What cannot be used is not
// shown: it may be a key.
func (c *cli) readKey(name string) (gossip.Key, error) {
	var content []byte
	var err error
	if name == "-" {
		content, err = io.ReadAll(c.stdin)
	} else {
		content, err = os.ReadFile(name)
	}
	if missing := (*fs.PathError)(nil); errors.As(err, &missing) {
		return nil, usagef("FILE cannot be read: %w; expected the name of a file with a key, --generate makes one", missing.Err)
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(content))
	if len(lines) != 1 {
		return nil, usagef("FILE has %d lines; expected one key, in base64", len(lines))
	}
	key, err := gossip.ParseKey(lines[0])
	if err != nil {
		return nil, usagef("FILE has no key: %w", err)
	}
	return key, nil
}

// makeKey makes a key and keeps it in a file.
func (c *cli) makeKey(name string) (gossip.Key, error) {
	if name == "-" {
		return nil, usagef("--generate writes the key to FILE; expected the name of one, not -")
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%s is there already; without --generate, the key in it is added", name)
	}
	key := gossip.NewKey()
	if err := gossip.WriteKeyFile(name, []gossip.Key{key}); err != nil {
		return nil, err
	}
	fmt.Fprintf(c.stderr, "key %s is in %s: keep it until all nodes have it\n", key, name)
	return key, nil
}
