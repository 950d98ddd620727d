package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"singularity/cluster/gossip"
	"singularity/messages"
)

func (c *cli) clusterKeys() *cobra.Command {
	command := group("keys", "Replace the keys that encrypt the gossip, on all nodes and while they run",
		c.clusterKeysList(), c.clusterKeysAdd(), c.clusterKeysUse(), c.clusterKeysRemove())
	command.Long = `Replace the keys that encrypt the gossip, on all nodes and while they run. Any node
can be asked; each one rewrites its own --gossip-key-file. A key goes by its
fingerprint, and is never shown. Three steps replace one key by another:

  singularity cluster keys add --generate new.key   all nodes understand the new key
  singularity cluster keys use FINGERPRINT          all nodes encrypt with the new key
  singularity cluster keys remove FINGERPRINT       all nodes forget the old key

Each step can be repeated: where it is done it changes nothing. use and remove are
refused, before anything is done, while a living node is not ready or does not answer.

A node that is down meanwhile comes back with the keys in its file. With the old one
alone it runs work, but does not join the gossip, and its log says so. Repeat add with
the file of the new key, use and remove: they reach the node at its registered address,
over the streams of --actors. Or give it the key file of another node before it starts.`
	return command
}

func (c *cli) clusterKeysList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List which keys each node has, and say what to do if they differ",
		Args:  arguments(),
		RunE: c.call(func(ctx context.Context, node *client, _ []string) error {
			response, err := node.cluster.ListKeys(ctx, &messages.ListKeysRequest{})
			if err != nil {
				return err
			}
			nodes := nodeKeysOf(response.GetNodes())
			for _, line := range difference(nodes) {
				fmt.Fprintln(c.stderr, printable(line))
			}
			return c.printKeys(nodes)
		}),
	}
}

func (c *cli) clusterKeysUse() *cobra.Command {
	return &cobra.Command{
		Use:   "use FINGERPRINT",
		Short: "Make all nodes encrypt with a key that all of them have",
		Long: `Make all nodes encrypt with a key that all of them have. It is refused, and changes
nothing, while a living node lacks the key or does not answer: the others would be
dead to it.`,
		Args: fingerprint,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.cluster.UseKey(ctx, &messages.UseKeyRequest{Fingerprint: args[0]})
			if err != nil {
				return err
			}
			return c.printChangedKeys(nodeKeysOf(response.GetNodes()), "`singularity cluster keys remove FINGERPRINT` with the key that was used before")
		}),
	}
}

func (c *cli) clusterKeysRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove FINGERPRINT",
		Short: "Make all nodes forget a key that none of them encrypts with",
		Long: `Make all nodes forget a key that none of them encrypts with. It is refused, and
changes nothing, while a living node encrypts with the key or does not answer.`,
		Args: fingerprint,
		RunE: c.call(func(ctx context.Context, node *client, args []string) error {
			response, err := node.cluster.RemoveKey(ctx, &messages.RemoveKeyRequest{Fingerprint: args[0]})
			if err != nil {
				return err
			}
			return c.printChangedKeys(nodeKeysOf(response.GetNodes()), "")
		}),
	}
}

// fingerprint accepts one of a key.
func fingerprint(cmd *cobra.Command, args []string) error {
	if err := arguments("FINGERPRINT")(cmd, args); err != nil {
		return err
	}
	return gossip.CheckFingerprint(args[0])
}

// nodeKeys are the keys of a node, by their fingerprints.
type nodeKeys struct {
	Instance string   `json:"instance_id"`
	Boot     string   `json:"boot"`
	Primary  string   `json:"primary"` // with which it encrypts
	Others   []string `json:"others"`
	Error    string   `json:"error,omitempty"`
}

func nodeKeysOf(list []*messages.NodeKeys) []nodeKeys {
	nodes := make([]nodeKeys, len(list)) // never nil: an empty list is [] in JSON
	for i, message := range list {
		nodes[i] = nodeKeys{
			Instance: message.GetInstanceId(), Boot: message.GetBoot(),
			Primary: message.GetPrimary(), Others: append([]string{}, message.GetOthers()...),
			Error: message.GetError(),
		}
	}
	return nodes
}

func (n nodeKeys) has(key string) bool { return n.Primary == key || slices.Contains(n.Others, key) }

func (c *cli) printKeys(nodes []nodeKeys) error {
	return c.print(nodes, func(t *table) {
		t.row("INSTANCE", "PRIMARY", "OTHERS", "ERROR")
		for _, n := range nodes {
			t.row(n.Instance, n.Primary, strings.Join(n.Others, " "), n.Error)
		}
	})
}

// printChangedKeys prints how nodes answered a change, and what is next. It is an
// error if one of them has not made the change.
func (c *cli) printChangedKeys(nodes []nodeKeys, next string) error {
	if err := c.printKeys(nodes); err != nil {
		return err
	}
	var failed []string
	for _, n := range nodes {
		if n.Error != "" {
			failed = append(failed, n.Instance)
		}
	}
	switch {
	case len(failed) > 0:
		return errors.New("not done on " + strings.Join(failed, ", ") + "; see the error of each, and repeat the command: it changes nothing where it is done")
	case next != "":
		fmt.Fprintln(c.stderr, "next:", next)
	}
	return nil
}

// difference says in which way the keys of nodes differ, and what to do.
func difference(nodes []nodeKeys) []string {
	var lines, known, primaries, silent []string
	for _, n := range nodes {
		if n.Error != "" {
			silent = append(silent, n.Instance)
			continue
		}
		known = append(append(known, n.Primary), n.Others...)
		primaries = append(primaries, n.Primary)
	}
	slices.Sort(known)
	for _, key := range slices.Compact(known) {
		var without []string
		for _, n := range nodes {
			if n.Error == "" && !n.has(key) {
				without = append(without, n.Instance)
			}
		}
		if len(without) > 0 {
			lines = append(lines, fmt.Sprintf("key %s is not on %s: repeat `singularity cluster keys add` with it, or `singularity cluster keys remove %[1]s`", key, strings.Join(without, ", ")))
		}
	}
	slices.Sort(primaries)
	if used := slices.Compact(primaries); len(used) > 1 {
		lines = append(lines, fmt.Sprintf("nodes encrypt with %s: `singularity cluster keys use FINGERPRINT` makes all of them use one that all have", strings.Join(used, " and ")))
	}
	if len(silent) > 0 {
		lines = append(lines, fmt.Sprintf("the keys of %s are not known: see the error of each; `singularity cluster keys --help` says how a node that missed a change gets its keys", strings.Join(silent, ", ")))
	}
	return lines
}
