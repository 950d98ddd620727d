package singularity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/protobuf/proto"

	"singularity/actors"
	"singularity/cluster"
	"singularity/cluster/certs"
	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
	"singularity/messages"
	"singularity/persistence"
	"singularity/workflow"
)

// Cluster makes the engines that share a Postgres database find each other, and
// talk. Without it they only meet in the database.
type Cluster struct {
	// Name is one that all engines of the cluster have in common: engines of other
	// names refuse each other. Defaults to one that is made of the identity of the
	// database, see [ClusterName].
	Name string
	// Gossip is the host:port at which the engines find each other, by TCP and
	// UDP, and Actors the one at which they talk; port 0 is any free one. Default
	// to [DefaultGossip] and [DefaultActors], or to a free port where these are in
	// use.
	Gossip, Actors string
	// AdvertiseGossip and AdvertiseActors are how others reach these two. Default
	// to what is listened on.
	AdvertiseGossip, AdvertiseActors string
	// API is the URL at which clients reach this process, for others to know.
	API string
	// Role says what the process does, as "node".
	Role string
	// Seeds are addresses of the gossip of other engines. Without any, those that
	// are registered in the database are asked.
	Seeds []string
	// TLSDir is a folder of "singularity certs node", and GossipKeyFile a file of
	// keys, which is written when they are replaced. Both are required beyond
	// loopback.
	TLSDir, GossipKeyFile string
}

func (c Cluster) withDefaults() Cluster {
	c.Role = cmp.Or(c.Role, "node")
	return c
}

// What a [Cluster] defaults to.
const (
	DefaultGossip = "127.0.0.1:7946"
	DefaultActors = "127.0.0.1:7947"
)

var errNotInCluster = fmt.Errorf("%w: this node is not in the cluster now", workflow.ErrUnreachable)

const anyPort = "127.0.0.1:0"

// The types of messages between engines.
const (
	hintType   = "hint"
	letterType = "letter"
)

// peers are the other engines of the cluster. Their methods are safe for
// concurrent use.
type peers struct {
	cfg   Cluster
	store persistence.Store
	tls   remoting.Identity
	log   *slog.Logger
	node  *actors.Node // set once, before the first Open

	counts  cluster.Counts // of all memberships
	letters letterCounts

	gossip, actors string // where the first boot listened; Open is never called twice at once

	mu      sync.RWMutex
	present *cluster.Membership // nil while there is none
}

var _ actors.Peers = (*peers)(nil)

// newNode makes a node, in a cluster if there is to be one.
func newNode(ctx context.Context, store persistence.Store, config actors.Config, of *Cluster) (*actors.Node, *peers, error) {
	if of == nil {
		node, err := actors.NewNode(store, config)
		return node, nil, err
	}
	if _, shared := store.(persistence.Shared); !shared {
		return nil, nil, errors.New("a cluster needs a database that its engines share: set DatabaseURL, or no Cluster")
	}
	named, err := nameCluster(ctx, *of, store)
	if err != nil {
		return nil, nil, err
	}
	others, err := newPeers(named, store, cmp.Or(config.Logger, slog.Default()))
	if err != nil {
		return nil, nil, err
	}
	config.Peers = others
	others.node, err = actors.NewNode(store, config)
	return others.node, others, err
}

func newPeers(cfg Cluster, store persistence.Store, log *slog.Logger) (*peers, error) {
	p := &peers{cfg: cfg.withDefaults(), store: store, log: log}
	if cfg.TLSDir != "" {
		identity, err := certs.Load(cfg.TLSDir, log)
		if err != nil {
			return nil, &cluster.SetupError{Part: cluster.OfCertificates, Err: err}
		}
		p.tls = identity
	}
	return p, nil
}

// Open implements [actors.Peers]. One membership is one boot's: what was meant
// for an earlier boot must not reach a later one, which keeps the addresses.
func (p *peers) Open(ctx context.Context, boot persistence.Boot) (persistence.Addresses, error) {
	p.Close()
	membership, err := p.join(ctx, boot, cmp.Or(p.gossip, p.cfg.Gossip, DefaultGossip), cmp.Or(p.actors, p.cfg.Actors, DefaultActors))
	if errors.Is(err, syscall.EADDRINUSE) && p.gossip == "" && (p.cfg.Gossip == "" || p.cfg.Actors == "") {
		membership, err = p.join(ctx, boot, cmp.Or(p.cfg.Gossip, anyPort), cmp.Or(p.cfg.Actors, anyPort))
	}
	if err != nil {
		return persistence.Addresses{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.present = membership
	at := persistence.Addresses{Gossip: membership.GossipAddress(), Actors: membership.ActorsAddress(), API: p.cfg.API}
	if p.gossip == "" {
		p.gossip, p.actors = kept(p.cfg.Gossip, at.Gossip), kept(p.cfg.Actors, at.Actors)
		p.log.Info("in the cluster", "cluster", p.cfg.Name, "gossip", at.Gossip, "actors", at.Actors, "boot", boot.ID)
	}
	return at, nil
}

// kept is where a later boot listens: where it was asked to, or else where the
// first one found a free port.
func kept(asked, found string) string {
	if asked == "" || strings.HasSuffix(asked, ":0") {
		return found
	}
	return asked
}

func (p *peers) join(ctx context.Context, boot persistence.Boot, gossipAt, actorsAt string) (*cluster.Membership, error) {
	return cluster.Join(ctx, cluster.Config{
		Boot: string(boot.ID), Instance: boot.Instance, Cluster: p.cfg.Name,
		Meta:    gossip.Meta{Role: p.cfg.Role, API: p.cfg.API, Version: boot.Version},
		Gossip:  cluster.Endpoint{Bind: gossipAt, Advertise: p.cfg.AdvertiseGossip},
		Actors:  cluster.Endpoint{Bind: actorsAt, Advertise: p.cfg.AdvertiseActors},
		KeyFile: p.cfg.GossipKeyFile, TLS: p.tls, Seeds: p.cfg.Seeds,
		Registered: p.registered, Deliver: p.deliver, Suspect: p.suspect, Changed: p.node.PeersChanged,
		Counts: &p.counts, Logger: p.log,
	})
}

// registered are the addresses of all living engines, as far as the database
// knows.
func (p *peers) registered(ctx context.Context) ([]string, error) {
	members, err := p.store.Members(ctx)
	var addresses []string
	for _, member := range members {
		if member.Gossip != "" {
			addresses = append(addresses, member.Gossip)
		}
	}
	return addresses, err
}

// Leave implements [actors.Peers].
func (p *peers) Leave(ctx context.Context) {
	if m := p.membership(); m != nil {
		if err := m.Leave(ctx); err != nil {
			p.log.Warn("the others may not all know that this node leaves; they find out", "error", err)
		}
	}
}

// Close implements [actors.Peers].
func (p *peers) Close() {
	p.mu.Lock()
	membership := p.present
	p.present = nil
	p.mu.Unlock()
	if membership != nil {
		if err := membership.Close(); err != nil {
			p.log.Warn("the cluster was not left in order", "error", err)
		}
	}
}

func (p *peers) membership() *cluster.Membership {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.present
}

func (p *peers) suspect(s cluster.Suspicion) {
	p.node.Suspect(actors.Suspicion{Boot: persistence.BootID(s.Boot), By: string(s.By), Witness: s.Witness})
}

// deliver acts on what another engine says.
func (p *peers) deliver(ctx context.Context, d remoting.Delivery) (remoting.Reply, error) {
	switch d.Type {
	case hintType:
		var hint messages.Hint
		if err := proto.Unmarshal(d.Payload, &hint); err != nil {
			return remoting.Reply{}, fmt.Errorf("read a hint: %w", err)
		}
		p.node.Hear(persistence.BootID(d.From.Boot), &hint)
		return remoting.Reply{}, nil
	case letterType:
		var letter messages.Letter
		if err := proto.Unmarshal(d.Payload, &letter); err != nil {
			return remoting.Reply{}, fmt.Errorf("read a letter: %w", err)
		}
		answer, err := proto.Marshal(p.node.Answer(ctx, &letter))
		return remoting.Reply{Type: letterType, Payload: answer}, err
	default:
		return remoting.Reply{}, fmt.Errorf("%w: %q", remoting.ErrUnknownType, d.Type)
	}
}

// Tell implements [actors.Peers].
func (p *peers) Tell(boot persistence.BootID, hint *messages.Hint) {
	if m, message, ok := p.hint(hint); ok {
		m.Tell(string(boot), message)
	}
}

// TellAll implements [actors.Peers].
func (p *peers) TellAll(hint *messages.Hint) {
	if m, message, ok := p.hint(hint); ok {
		m.TellAll(message)
	}
}

func (p *peers) hint(hint *messages.Hint) (*cluster.Membership, remoting.Message, bool) {
	payload, err := proto.Marshal(hint)
	if err != nil {
		p.log.Warn("a hint is not sent", "error", err)
	}
	m := p.membership()
	return m, remoting.Message{Type: hintType, Payload: payload}, err == nil && m != nil
}

// Ask implements [actors.Peers].
func (p *peers) Ask(ctx context.Context, boot persistence.BootID, letter *messages.Letter) (*messages.LetterReply, error) {
	reply, err := p.ask(ctx, boot, letter)
	p.letters.count(reply, err)
	return reply, err
}

func (p *peers) ask(ctx context.Context, boot persistence.BootID, letter *messages.Letter) (*messages.LetterReply, error) {
	payload, err := proto.Marshal(letter)
	if err != nil {
		return nil, fmt.Errorf("write a letter: %w", err)
	}
	m := p.membership()
	if m == nil {
		return nil, errNotInCluster
	}
	reply, err := p.call(ctx, m, boot, remoting.Message{
		ID: letter.GetId(), Type: letterType, Target: letter.GetTarget(), Payload: payload,
	})
	switch {
	case errors.Is(err, remoting.ErrUnreachable), errors.Is(err, remoting.ErrStaleIncarnation), errors.Is(err, remoting.ErrClosed),
		errors.Is(err, remoting.ErrBusy):
		return nil, fmt.Errorf("%w: %w", workflow.ErrUnreachable, err)
	case err != nil:
		return nil, err
	}
	var answer messages.LetterReply
	if err := proto.Unmarshal(reply.Payload, &answer); err != nil {
		return nil, fmt.Errorf("read the reply to a letter: %w", err)
	}
	return &answer, nil
}

// call sends a message to a boot, at the address that is registered if it is not
// seen: its gossip may have other keys.
func (p *peers) call(ctx context.Context, m *cluster.Membership, boot persistence.BootID, message remoting.Message) (remoting.Reply, error) {
	if _, seen := m.View().Member(string(boot)); !seen {
		members, err := p.store.Members(ctx)
		if err != nil {
			return remoting.Reply{}, fmt.Errorf("%w: %w", remoting.ErrUnreachable, err)
		}
		for _, member := range members {
			if member.Boot == boot && member.Actors != "" {
				return m.CallAt(ctx, remoting.Peer{Address: member.Actors, Boot: string(boot)}, message)
			}
		}
	}
	return m.Call(ctx, string(boot), message)
}

// Others implements [actors.Peers].
func (p *peers) Others() map[persistence.BootID]string {
	others := map[persistence.BootID]string{}
	if m := p.membership(); m != nil {
		for _, member := range m.View().Members() {
			others[persistence.BootID(member.Boot)] = member.Instance
		}
	}
	return others
}

// At implements [actors.Peers].
func (p *peers) At(address string) (persistence.BootID, bool) {
	m := p.membership()
	if m == nil {
		return "", false
	}
	for _, member := range m.View().Members() {
		if address == member.Actors || address == member.Instance || address == member.Boot {
			return persistence.BootID(member.Boot), true
		}
	}
	return "", false
}

// Complete implements [actors.Peers].
func (p *peers) Complete() bool {
	m := p.membership()
	return m != nil && m.Complete()
}
