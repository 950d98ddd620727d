package cluster

import (
	"context"
	"fmt"
	"sync"

	"singularity/cluster/gossip"
	"singularity/cluster/remoting"
)

// Membership is a process's place in a cluster, for as long as one boot lasts.
// Its methods are safe for concurrent use.
type Membership struct {
	cfg     Config
	gossip  *gossip.Gossip
	network *remoting.Node
	others  *others

	running context.Context //nolint:containedctx // of the tasks
	end     context.CancelFunc
	tasks   sync.WaitGroup
	telling chan struct{} // has room for those who tell something now
}

// mostTelling is how many hints may be on their way to streams that are not
// there yet.
const mostTelling = 256

// Join makes the process a member and returns at once: the others are found in
// the background. What is wrong with the Config is a [*SetupError]. ctx ends the
// search for the addresses of host names, and nothing else.
func Join(ctx context.Context, cfg Config) (*Membership, error) {
	cfg = cfg.withDefaults()
	m := &Membership{cfg: cfg, others: newOthers(cfg.Limits), telling: make(chan struct{}, mostTelling)}
	m.running, m.end = context.WithCancel(context.Background())
	if err := m.open(ctx); err != nil {
		m.end()
		return nil, fmt.Errorf("join the cluster: %w", err)
	}
	m.tasks.Go(m.follow)
	return m, nil
}

func (m *Membership) open(ctx context.Context) (err error) {
	m.network, err = remoting.Listen(remoting.Config{
		Boot: m.cfg.Boot, Bind: m.cfg.Actors.Bind, Advertise: m.cfg.Actors.Advertise,
		TLS: m.cfg.TLS, Deliver: m.cfg.Deliver, Notify: m.noticed, Refused: m.cfg.Counts.refuse,
		Logger: m.cfg.Logger, Limits: m.cfg.Limits,
	})
	if err != nil {
		return &SetupError{OfActors, err}
	}
	meta := m.cfg.Meta
	meta.Actors = m.network.Self().Address
	m.gossip, err = gossip.Open(ctx, gossip.Config{
		Boot: m.cfg.Boot, Instance: m.cfg.Instance, Cluster: m.cfg.Cluster,
		Bind: m.cfg.Gossip.Bind, Advertise: m.cfg.Gossip.Advertise,
		KeyFile: m.cfg.KeyFile, Seeds: m.cfg.Seeds, Peers: m.registered,
		Meta: meta, Timing: m.cfg.Timing, Logger: m.cfg.Logger,
	})
	if err != nil {
		m.network.Close()
		return &SetupError{OfGossip, err}
	}
	return nil
}

// registered asks for the addresses, and notes whom this member ought to see.
func (m *Membership) registered(ctx context.Context) ([]string, error) {
	if m.cfg.Registered == nil {
		return nil, nil
	}
	addresses, err := m.cfg.Registered(ctx)
	if err == nil && m.others.expect(addresses) {
		m.cfg.Changed()
	}
	return addresses, err
}

// follow keeps the streams that the view asks for, and raises the alarm for whom
// the others do not hear of.
func (m *Membership) follow() {
	for view, changes := range m.gossip.Watch(m.running) {
		m.network.SetPeers(m.others.see(m.cfg.Boot, view))
		for _, change := range changes {
			if change.Kind == gossip.Dead && change.Member.Boot != m.cfg.Boot {
				m.cfg.Suspect(Suspicion{Boot: change.Member.Boot, By: ByGossip})
			}
		}
		m.cfg.Changed()
	}
}

// noticed hears of the streams.
func (m *Membership) noticed(e remoting.Event) {
	m.others.stand(e.Peer, e.Standing)
	m.cfg.Changed()
	if e.Standing {
		return
	}
	switch e.Reason {
	case remoting.Refused:
		m.cfg.Suspect(Suspicion{Boot: e.Peer.Boot, By: ByRefusal, Witness: true})
	case remoting.OtherBoot:
		m.cfg.Suspect(Suspicion{Boot: e.Peer.Boot, By: ByOther, Witness: true})
	case remoting.Reset, remoting.Keepalive, remoting.Closed:
		m.cfg.Suspect(Suspicion{Boot: e.Peer.Boot, By: ByStream})
	case remoting.Untrusted: // it lives
		m.cfg.Logger.Warn("a node of the cluster is not reached: its certificate and this node's are of different authorities or clusters, or one has none; give both a --tls-dir that \"singularity certs node\" filled",
			"peer", e.Peer, "error", e.Err)
	}
}

// GossipAddress is where the others join this member: what Registered returns
// for it.
func (m *Membership) GossipAddress() string { return m.gossip.Address() }

// ActorsAddress is where the others send messages for this member.
func (m *Membership) ActorsAddress() string { return m.network.Self().Address }

// View is who is in the cluster, as far as this member sees.
func (m *Membership) View() gossip.View { return m.gossip.View() }

// Keyring has the keys that encrypt the gossip of this member.
func (m *Membership) Keyring() *gossip.Keyring { return m.gossip.Keyring() }

// Complete reports whether hints reach everybody: this member sees all that are
// registered, and has a stream to each, or to as many as it keeps.
func (m *Membership) Complete() bool { return m.others.complete() }

// Call sends a message to the member with the given boot and returns its reply.
// A boot that is not in the view is [remoting.ErrUnreachable]. For other errors
// see [remoting.Node.Call].
func (m *Membership) Call(ctx context.Context, boot string, message remoting.Message) (remoting.Reply, error) {
	peer, known := m.others.peer(boot)
	if !known {
		return remoting.Reply{}, fmt.Errorf("%w: no member of the cluster has boot %s", remoting.ErrUnreachable, boot)
	}
	return m.network.Call(ctx, peer, message)
}

// CallAt is Call for a member that this one does not see: its gossip may be cut
// off, or have other keys.
func (m *Membership) CallAt(ctx context.Context, peer remoting.Peer, message remoting.Message) (remoting.Reply, error) {
	return m.network.Call(ctx, peer, message)
}

// Tell sends a hint to the member with the given boot. It never blocks; what
// cannot be sent soon is lost.
func (m *Membership) Tell(boot string, message remoting.Message) {
	if peer, known := m.others.peer(boot); known {
		m.tell(peer, message)
	} else {
		m.cfg.Counts.HintsDropped.Add(1)
	}
}

// TellAll sends a hint to all other members.
func (m *Membership) TellAll(message remoting.Message) {
	for _, peer := range m.others.all() {
		m.tell(peer, message)
	}
}

func (m *Membership) tell(to remoting.Peer, message remoting.Message) {
	select {
	case m.telling <- struct{}{}:
	default:
		m.cfg.Counts.HintsDropped.Add(1)
		m.cfg.Logger.Debug("hint lost: too many are on their way", "peer", to, "type", message.Type)
		return
	}
	m.tasks.Go(func() {
		defer func() { <-m.telling }()
		if err := m.network.Tell(m.running, to, message); err == nil {
			m.cfg.Counts.HintsSent.Add(1)
		} else {
			m.cfg.Counts.HintsDropped.Add(1)
			m.cfg.Logger.Debug("hint lost", "peer", to, "type", message.Type, "error", err)
		}
	})
}

// Leave tells the others that this member is about to go, so that nobody takes
// it for dead. It can still send and get messages until Close. An error says that
// they may not all have heard of it.
func (m *Membership) Leave(ctx context.Context) error { return m.gossip.Leave(ctx) }

// Close ends the membership, without a word if it has not left. It waits for what
// is under way, and may be called again, but not by Deliver, Suspect or Changed.
func (m *Membership) Close() error {
	m.end()
	err := m.gossip.Close()
	m.network.Close()
	m.tasks.Wait()
	return err
}
