package cluster

import (
	"context"
	"log/slog"

	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
)

// Endpoint is where a member listens, and how others reach it there.
type Endpoint struct {
	// Bind is the host:port to listen on; port 0 is any free one.
	Bind string
	// Advertise is the host:port for others. Defaults to the one that is listened
	// on.
	Advertise string
}

// Config is how a member is set up. Boot, Gossip.Bind and Deliver are required.
type Config struct {
	// Boot is the id of this start of the process, which is never used again.
	Boot string
	// Instance is the label that people know the process by.
	Instance string
	// Meta is what others see of the process. Its Actors are filled in.
	Meta gossip.Meta
	// Cluster is a name that all members have in common.
	Cluster string
	// Gossip is for finding each other, by TCP and UDP, Actors for messages.
	Gossip, Actors Endpoint
	// KeyFile has the keys of the gossip, and TLS secures the messages. Both are
	// required beyond loopback.
	KeyFile string
	TLS     remoting.Identity
	// Seeds are addresses of the gossip of members to join.
	Seeds []string
	// Registered returns the addresses of the gossip of all members that live as
	// far as the database knows, this one included. Without it only Seeds help
	// members to find each other. It is called from one goroutine, often at first
	// and then every 10 to 15s.
	Registered func(context.Context) ([]string, error)
	// Deliver acts on a message: see [remoting.Config].
	Deliver func(context.Context, remoting.Delivery) (remoting.Reply, error)
	// Suspect hears which members look dead. It must not block, and hears of the
	// same one more than once. Defaults to nobody.
	Suspect func(Suspicion)
	// Changed hears that a member came or went, or that Complete may have changed
	// its mind. It must not block. Defaults to nobody.
	Changed func()
	// Counts are counted on. Defaults to counts that nobody reads.
	Counts *Counts
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Timing tunes the gossip, and Limits the messages.
	Timing gossip.Timing
	Limits remoting.Limits
}

// Suspicion says that a member looks dead from here.
type Suspicion struct {
	Boot string
	By   Sign
	// Witness: nobody listens at the member's address any more, or another boot
	// does. A member that is only slow, or cut off, does not look like that.
	Witness bool
}

// Sign is by what a member looks dead.
type Sign string

// The signs.
const (
	ByGossip  Sign = "gossip"     // the others do not hear of it
	ByStream  Sign = "stream"     // the stream to it broke
	ByRefusal Sign = "refused"    // nobody listens at its address
	ByOther   Sign = "other boot" // another boot listens at its address
)

func (c Config) withDefaults() Config {
	if c.Suspect == nil {
		c.Suspect = func(Suspicion) {}
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Counts == nil {
		c.Counts = new(Counts)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
