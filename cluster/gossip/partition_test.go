package gossip_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"singularity/cluster/gossip"
)

// cable is a network between members that can be cut. A member's address is the
// name of its plug.
type cable struct {
	mu  sync.Mutex
	cut map[string]bool
}

// unplug cuts a member off, or ends that.
func (c *cable) unplug(address string, off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[address] = off
}

func (c *cable) carries(from, to string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.cut[from] && !c.cut[to]
}

// plug is the end of a cable. What it does not carry is lost, as packets are, or
// never answers, as connections do.
type plug struct {
	memberlist.NodeAwareTransport
	cable *cable
	self  string
}

func (p *plug) WriteToAddress(packet []byte, to memberlist.Address) (time.Time, error) {
	if !p.cable.carries(p.self, to.Addr) {
		return time.Now(), nil
	}
	return p.NodeAwareTransport.WriteToAddress(packet, to)
}

func (p *plug) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if !p.cable.carries(p.self, to.Addr) {
		return nil, errors.New("the cable is cut")
	}
	return p.NodeAwareTransport.DialAddressTimeout(to, timeout)
}

// plug makes a member's configuration use the cable.
func (c *cable) plug(t *testing.T, cfg gossip.Config) gossip.Config {
	t.Helper()
	var bound *memberlist.NetTransport
	var err error
	for range 10 { // a port that is free for TCP may be taken for UDP
		bound, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{"127.0.0.1"},
			Logger:    log.New(io.Discard, "", 0),
		})
		if err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	ip, port, err := bound.FinalAdvertiseAddr("", 0)
	if err != nil {
		t.Fatal(err)
	}
	self := (&net.TCPAddr{IP: ip, Port: port}).String()
	return cfg.Over(&plug{NodeAwareTransport: bound, cable: c, self: self})
}

func TestPartitionThatOutlastsReapingHeals(t *testing.T) {
	t.Parallel()
	nodes, cable := &registry{}, &cable{cut: map[string]bool{}}
	searches := make(chan struct{}, 1000)
	var configs []gossip.Config
	for _, boot := range []string{"a", "b", "c"} {
		cfg := nodes.config(t, boot)
		cfg.Timing = quick
		cfg.Timing.Suspicion = 2 // so that nobody waits for others' suspicions
		cfg.Timing.Reap = 50 * time.Millisecond
		if boot == "c" {
			cfg.Peers = func(ctx context.Context) ([]string, error) {
				searches <- struct{}{}
				return nodes.peers(ctx)
			}
		}
		configs = append(configs, cable.plug(t, cfg))
	}
	members := nodes.cluster(t, configs...)

	cable.unplug(members[2].Address(), true)
	await(t, members[0], "a view without c", size(2))
	await(t, members[1], "a view without c", size(2))
	await(t, members[2], "a view of c alone", size(1))
	// Between two searches there are Timing.Rejoin at least, and so a probe and
	// the reaping that precedes it.
	for len(searches) > 0 {
		<-searches
	}
	for range 10 {
		<-searches
	}

	cable.unplug(members[2].Address(), false)
	healed := time.Now()
	for _, g := range members {
		await(t, g, "all members", size(3))
	}
	t.Logf("all saw all after %s, with a search every %s or so", time.Since(healed), quick.Rejoin)
}
