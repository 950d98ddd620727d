package gossip

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/memberlist"
)

// ErrClosed is returned by a member that has left or was closed.
var ErrClosed = errors.New("the member has left the cluster")

// Gossip is one process's membership of a cluster. Its methods are safe for
// concurrent use.
type Gossip struct {
	cfg     Config
	log     *slog.Logger
	list    *memberlist.Memberlist
	inbox   *inbox
	roster  *roster // belongs to Open, then to follow
	board   *board
	keys    *Keyring
	address string

	end   context.CancelFunc
	tasks sync.WaitGroup

	turn   chan struct{} // filled while somebody has what follows, and what card says
	closed bool
}

// Open makes this process a member and returns at once: others are found in the
// background. It refuses a Config that is not valid, metadata that is too large,
// an address beyond loopback without keys, and, by [syscall.EADDRINUSE], an
// address that is in use. The
// context ends the search for the addresses of host names and nothing else.
func Open(ctx context.Context, cfg Config) (*Gossip, error) {
	g, err := open(ctx, cfg.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("gossip on %s: %w", cfg.Bind, err)
	}
	running, end := context.WithCancel(context.Background())
	g.end = end
	g.tasks.Go(func() { g.follow(running) })
	g.tasks.Go(func() { newSearch(g).run(running) })
	return g, nil
}

func open(ctx context.Context, cfg Config) (*Gossip, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	keys, err := cfg.keyring()
	if err != nil {
		return nil, err
	}
	g := &Gossip{
		cfg:    cfg,
		log:    cfg.Logger,
		inbox:  newInbox(),
		roster: newRoster(cfg.Boot),
		board:  newBoard(),
		keys:   keys,
		turn:   make(chan struct{}, 1),
	}
	said, err := card{Instance: cfg.Instance, Meta: cfg.Meta}.encode()
	if err != nil {
		return nil, err
	}
	g.inbox.card.Store(&said)
	settings, err := g.settings(ctx)
	if err != nil {
		return nil, err
	}
	if g.list, err = memberlist.Create(settings); err != nil {
		if strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) {
			err = syscall.EADDRINUSE // of which memberlist keeps the text alone
		}
		return nil, err
	}
	g.collect()
	self, _ := g.View().Member(cfg.Boot)
	g.address = self.Address
	return g, nil
}

// settings translates the configuration for memberlist.
func (g *Gossip) settings(ctx context.Context) (*memberlist.Config, error) {
	network, err := g.cfg.network(ctx, g.keys.ring != nil)
	if err != nil {
		return nil, err
	}
	settings := memberlist.DefaultLANConfig()
	g.cfg.Timing.tune(settings)
	settings.Name = g.cfg.Boot
	settings.BindAddr, settings.BindPort = network.bind.Addr().String(), int(network.bind.Port())
	settings.AdvertiseAddr, settings.AdvertisePort = "", int(network.bind.Port())
	if network.advertise.IsValid() {
		settings.AdvertiseAddr, settings.AdvertisePort = network.advertise.Addr().String(), int(network.advertise.Port())
	}
	settings.Label = g.cfg.Cluster
	settings.Keyring = g.keys.ring
	settings.Transport = g.cfg.transport
	settings.Events, settings.Conflict, settings.Delegate = g.inbox, g.inbox, g.inbox
	settings.Logger = newLogger(g.log)
	return settings, replaceTransport(settings)
}

// replaceTransport leaves memberlist to the network of the machine. Fault tests
// change it.
var replaceTransport = func(*memberlist.Config) error { return nil }

// Address is the host:port at which the others reach this member, in numbers.
func (g *Gossip) Address() string { return g.address }

// View returns the latest view.
func (g *Gossip) View() View { return g.board.view() }

// Watch yields the present view, with a [Joined] for each of its members, and
// then each later one with what changed since the one before. It ends with the
// context, with the loop over it, or when the member leaves or is closed.
func (g *Gossip) Watch(ctx context.Context) iter.Seq2[View, []Change] { return g.board.watch(ctx) }

// Close ends the membership without a word, as a crash would: the others find
// that this member is [Dead]. It waits for all that goes on here: an Update or a
// Leave, and a connection for as long as [Timing.Patience]. It may be called
// again.
func (g *Gossip) Close() error {
	g.turn <- struct{}{}
	defer g.endTurn()
	return g.close()
}

// close needs the turn: memberlist panics when it is to leave after it was shut
// down.
func (g *Gossip) close() error {
	if g.closed {
		return nil
	}
	g.closed = true
	g.end()
	err := g.list.Shutdown()
	g.tasks.Wait()
	g.board.close()
	return err
}

// Keyring returns the keys of this member, to change them while it runs.
func (g *Gossip) Keyring() *Keyring { return g.keys }
