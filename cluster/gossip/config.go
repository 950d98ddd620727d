package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hashicorp/memberlist"
)

// maxName bounds Boot, which travels in every message, in bytes.
const maxName = 128

// Config is how a member is set up. Boot and Bind are required.
type Config struct {
	// Boot is the member's name. It is unique: no other process, and no other
	// start of this one, ever has it.
	Boot string
	// Instance is the label that people know the process by. It need not be
	// unique.
	Instance string
	// Bind is the host:port to listen on, by TCP and by UDP. An empty host is all
	// interfaces, and port 0 any free one.
	Bind string
	// Advertise is the host:port at which the others reach this member. A host
	// name is resolved once, and port 0 is the one of Bind. Defaults to Bind, or
	// to the first private address when that is all interfaces.
	Advertise string
	// Cluster is a name that all members have in common: those with another one
	// are never members. Defaults to "", a name like any other.
	Cluster string
	// KeyFile holds the keys of the cluster, as [WriteKeyFile] writes them. It is
	// read at Open, and rewritten when a key is added, used or removed.
	KeyFile string
	// Keys are the keys of the cluster when there is no KeyFile, the primary
	// first. Without keys nothing is encrypted, which is refused beyond loopback.
	Keys []Key
	// Seeds are the host:port of members to join, as far as they are not members
	// already. A host name stands for all of its addresses.
	Seeds []string
	// Peers returns the addresses of the members that ought to be there, as
	// [Gossip.Address] returned them there. It may name this member, too. It is
	// called from one goroutine, often at first and then every [Timing.Rejoin].
	// Defaults to none.
	Peers func(ctx context.Context) ([]string, error)
	// Meta is what the member says about itself.
	Meta Meta
	// Timing tunes the protocol. The zero value is a good one.
	Timing Timing
	// Logger receives who comes and goes, and what memberlist logs. Defaults to
	// slog.Default().
	Logger *slog.Logger

	// transport replaces the network, in tests.
	transport memberlist.Transport
}

func (c Config) withDefaults() Config {
	c.Timing = c.Timing.withDefaults()
	if c.Peers == nil {
		c.Peers = func(context.Context) ([]string, error) { return nil, nil }
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.Boot == "" || len(c.Boot) > maxName {
		errs = append(errs, fmt.Errorf("boot %q has %d bytes: expected 1 to %d", c.Boot, len(c.Boot), maxName))
	}
	if len(c.Cluster) > memberlist.LabelMaxSize {
		errs = append(errs, fmt.Errorf("the name of the cluster has %d bytes: expected at most %d", len(c.Cluster), memberlist.LabelMaxSize))
	}
	if c.KeyFile != "" && len(c.Keys) > 0 {
		errs = append(errs, errors.New("both a key file and keys are given: expected one of them"))
	}
	for i, key := range c.Keys {
		if err := key.validate(); err != nil {
			errs = append(errs, fmt.Errorf("key %d: %w", i+1, err))
		}
	}
	for _, seed := range c.Seeds {
		if _, _, err := splitAddress(seed); err != nil {
			errs = append(errs, fmt.Errorf("seed %w", err))
		}
	}
	return errors.Join(append(errs, c.Timing.validate())...)
}

// keyring reads the keys.
func (c Config) keyring() (*Keyring, error) {
	if c.KeyFile == "" {
		return newKeyring("", c.Keys)
	}
	keys, err := ReadKeyFile(c.KeyFile)
	if err != nil {
		return nil, err
	}
	if exposed(c.KeyFile) {
		c.Logger.Warn("the key file can be read by other users: chmod 600 keeps the keys secret", "file", c.KeyFile)
	}
	return newKeyring(c.KeyFile, keys)
}
