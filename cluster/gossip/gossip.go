package gossip

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// ErrClosed is returned by a member that has left or was closed.
var ErrClosed = errors.New("the member has left the cluster")

const (
	// spreading bounds the wait until what this member says has been passed on.
	spreading = 5 * time.Second
	// sayAgain is when it is said again.
	sayAgain = time.Second
)

// Gossip is one process's membership of a cluster. Its methods are safe for
// concurrent use.
type Gossip struct {
	cfg     Config
	log     *slog.Logger
	list    *memberlist.Memberlist
	inbox   *inbox
	roster  *roster // belongs to Open, then to follow
	board   *board
	keys    *keyring
	address string

	end   context.CancelFunc
	tasks sync.WaitGroup

	turn   chan struct{} // filled while somebody has what follows, and what card says
	closed bool
}

// Open makes this process a member and returns at once: others are found in the
// background. It refuses a Config that is not valid, metadata that is too large,
// an address beyond loopback without keys, and an address that is in use. The
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
	return settings, nil
}

// Address is the host:port at which the others reach this member, in numbers.
func (g *Gossip) Address() string { return g.address }

// View returns the latest view.
func (g *Gossip) View() View { return g.board.view() }

// Watch yields the present view, with a [Joined] for each of its members, and
// then each later one with what changed since the one before. It ends with the
// context, with the loop over it, or when the member leaves or is closed.
func (g *Gossip) Watch(ctx context.Context) iter.Seq2[View, []Change] { return g.board.watch(ctx) }

// Update changes what this member says about itself, and returns when that has
// been passed on to others, or at the context's deadline, after 5s at most, with
// an error. Then it spreads all the same, if late. Metadata that is too large is
// refused and changes nothing: in JSON it may have 512 bytes, the instance
// included.
func (g *Gossip) Update(ctx context.Context, meta Meta) error {
	if err := g.takeTurn(ctx); err != nil {
		return fmt.Errorf("update the metadata: %w", err)
	}
	defer g.endTurn()
	if err := g.say(ctx, card{Instance: g.cfg.Instance, Meta: meta}); err != nil {
		return fmt.Errorf("update the metadata: %w", err)
	}
	return nil
}

// Leave announces that this member leaves, waits until that has been passed on
// to others, leaves and closes. To the others it has [Left]. An error says that
// they may not all have heard of it by the context's deadline, or within 10s; it
// is closed all the same. A member that was closed leaves without doing anything.
func (g *Gossip) Leave(ctx context.Context) error {
	g.turn <- struct{}{}
	defer g.endTurn()
	if g.closed {
		return nil
	}
	said, err := decode(*g.inbox.card.Load())
	if err == nil {
		said.Leaving = true
		err = g.say(ctx, said)
	}
	if err = errors.Join(err, g.list.Leave(patience(ctx, spreading))); err != nil {
		err = fmt.Errorf("leave the cluster: %w", err)
	}
	return errors.Join(err, g.close())
}

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

// say makes the member say something else about itself. It needs the turn, as
// memberlist would let the older of two cards win.
func (g *Gossip) say(ctx context.Context, c card) error {
	encoded, err := c.encode()
	if err != nil {
		return err
	}
	g.inbox.card.Store(&encoded)
	ctx, cancel := context.WithTimeout(ctx, spreading)
	defer cancel()
	for {
		// Memberlist drops what is said while it denies a rumour that this member
		// is dead, so it is said again.
		err := g.list.UpdateNode(patience(ctx, sayAgain))
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

func (g *Gossip) takeTurn(ctx context.Context) error {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if g.closed {
		g.endTurn()
		return ErrClosed
	}
	return nil
}

func (g *Gossip) endTurn() { <-g.turn }

// patience is the time until a context's deadline, of a limit at most, as
// memberlist wants it: zero would be for ever.
func patience(ctx context.Context, limit time.Duration) time.Duration {
	if deadline, limited := ctx.Deadline(); limited {
		return min(max(time.Until(deadline), time.Nanosecond), limit)
	}
	return limit
}

// Keys returns the keys of this member, the primary first, and none when nothing
// is encrypted.
func (g *Gossip) Keys() []Key { return g.keys.list() }

// AddKey makes this member understand a key. It encrypts with its primary as
// before.
func (g *Gossip) AddKey(key Key) error { return g.keys.add(key) }

// UseKey makes a key the primary of this member. All members must have it by then:
// one that does not is dead to this one.
func (g *Gossip) UseKey(key Key) error { return g.keys.use(key) }

// RemoveKey makes this member forget a key, as [ErrPrimaryKey] says not the
// primary.
func (g *Gossip) RemoveKey(key Key) error { return g.keys.remove(key) }
