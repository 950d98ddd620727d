package gossip

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// ErrSilent is returned by [Probe] when a member can be reached by TCP, and does
// not answer by UDP: that is closed on the way, the keys or the names of the
// cluster differ, or somebody else is there.
var ErrSilent = errors.New("no answer by UDP")

const (
	// pings are how many may get lost on the way.
	pings = 3
	// pingPatience is how long each is waited for.
	pingPatience = 500 * time.Millisecond
)

// Addresses are where a member would listen, and where others would reach it; the
// latter is not valid where Open looks for a private address. It refuses what
// Open refuses before it listens.
func (c Config) Addresses(ctx context.Context) (bind, advertise netip.AddrPort, err error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return bind, advertise, err
	}
	keys, err := c.keyring()
	if err != nil {
		return bind, advertise, err
	}
	n, err := c.network(ctx, keys.ring != nil)
	return n.bind, n.advertise, err
}

// Probe asks the member of a boot for a sign of life, at the address of its
// gossip, as another one would, and does not become a member by that. Of cfg it
// takes the cluster, the keys and the timing.
func Probe(ctx context.Context, cfg Config, boot, address string) error {
	cfg = cfg.withDefaults()
	if err := probeTCP(ctx, cfg, address); err != nil {
		return fmt.Errorf("probe %s at %s: %w", boot, address, err)
	}
	if err := probeUDP(ctx, cfg, boot, address); err != nil {
		return fmt.Errorf("probe %s at %s: %w", boot, address, err)
	}
	return nil
}

// probeTCP connects, says of which cluster it is, and goes: that is no news to
// the member.
func probeTCP(ctx context.Context, cfg Config, address string) error {
	dialer := net.Dialer{Timeout: cfg.Timing.Patience}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return cmp.Or(memberlist.AddLabelHeaderToStream(conn, cfg.Cluster), conn.Close())
}

func probeUDP(ctx context.Context, cfg Config, boot, address string) (err error) {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return err
	}
	keys, err := cfg.keyring()
	if err != nil {
		return err
	}
	prober, err := newProber(cfg.Cluster, keys, to)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, prober.Shutdown()) }()
	for range pings {
		_, err = prober.Ping(boot, to)
		if !errors.As(err, new(memberlist.NoPingResponseError)) || ctx.Err() != nil {
			return err
		}
	}
	return ErrSilent
}

// newProber makes a cluster of one, which nobody joins, at the address of this
// machine from where packets get to another.
func newProber(cluster string, keys *Keyring, to *net.UDPAddr) (*memberlist.Memberlist, error) {
	way, err := net.DialUDP("udp", nil, to) // sends nothing
	if err != nil {
		return nil, err
	}
	from := way.LocalAddr().(*net.UDPAddr).IP.String()
	if err := way.Close(); err != nil {
		return nil, err
	}
	settings := memberlist.DefaultLANConfig()
	settings.Name = "probe-" + rand.Text()
	settings.BindAddr, settings.BindPort, settings.AdvertisePort = from, 0, 0
	settings.ProbeTimeout, settings.ProbeInterval = pingPatience, 2*pingPatience
	// There is no room in its packets for news of itself, and it sends nothing else.
	settings.UDPBufferSize, settings.GossipInterval, settings.PushPullInterval = 0, 0, 0
	settings.Label, settings.Keyring = cluster, keys.ring
	settings.Logger = log.New(io.Discard, "", 0)
	return memberlist.Create(settings)
}
