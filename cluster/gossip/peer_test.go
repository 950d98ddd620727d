package gossip_test

import (
	"io"
	"log"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/memberlist"

	"singularity/cluster/gossip"
)

// peer is a member of another make, which says about itself what it likes.
type peer struct {
	memberlist.Delegate // has no more than NodeMeta
	list                *memberlist.Memberlist

	mu   sync.Mutex
	meta string
}

func (p *peer) NodeMeta(int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return []byte(p.meta)
}

func (p *peer) NotifyMsg([]byte)                {}
func (p *peer) GetBroadcasts(int, int) [][]byte { return nil }
func (p *peer) LocalState(bool) []byte          { return nil }
func (p *peer) MergeRemoteState([]byte, bool)   {}

// say changes the metadata.
func (p *peer) say(t *testing.T, meta string) {
	t.Helper()
	p.mu.Lock()
	p.meta = meta
	p.mu.Unlock()
	if err := p.list.UpdateNode(deadline); err != nil {
		t.Fatal(err)
	}
}

// join makes a peer that joins a member.
func join(t *testing.T, name, meta, address string) *peer {
	t.Helper()
	p := &peer{meta: meta}
	cfg := memberlist.DefaultLocalConfig()
	cfg.Name, cfg.BindAddr, cfg.BindPort = name, "127.0.0.1", 0
	cfg.GossipInterval, cfg.ProbeInterval, cfg.ProbeTimeout = calm.Gossip, calm.Probe, calm.Answer
	cfg.Delegate = p
	cfg.Logger = log.New(io.Discard, "", 0)
	var err error
	if p.list, err = memberlist.Create(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.list.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.list.Join([]string{address}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMemberWhoseMetadataCannotBeReadIsIgnored(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	cfg := nodes.config(t, "a")
	heard := captured(&cfg)
	g := nodes.open(t, cfg)
	d := keep(t, g)

	odd := join(t, "odd", "\x00garbage", g.Address())
	heard.await(t, "WARN", "boot=odd", "cannot be read")
	later := join(t, "later", `{"v":2,"instance":"from the future"}`, g.Address())
	heard.await(t, "WARN", "boot=later", "format 2")

	odd.say(t, `{"v":1,"role":"node","mood":"good"}`)
	seen := d.until(t, gossip.Joined, "odd")
	if len(seen) != 1 || seen[0].Member.Role != "node" {
		t.Errorf("what happened is %+v, want that odd joined as a node", seen)
	}
	odd.say(t, strings.Repeat("x", memberlist.MetaMaxSize))
	heard.await(t, "WARN", "boot=odd", "xxx")
	later.say(t, `{"v":1}`)
	for _, change := range d.until(t, gossip.Joined, "later") {
		if change.Member.Boot == "odd" {
			t.Errorf("odd %s: %+v", change.Kind, change.Member)
		}
	}
	if m, found := g.View().Member("odd"); !found || m.Role != "node" {
		t.Errorf("odd is %+v, want as it was", m)
	}
}

func TestTwoProcessesWithOneBootAreReported(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	first, witness := nodes.config(t, "same"), nodes.config(t, "witness")
	heard := captured(&witness)
	members := nodes.cluster(t, first, witness)
	join(t, "same", `{"v":1}`, members[1].Address())
	heard.await(t, "ERROR", "two processes have one boot", "boot=same", members[0].Address())
}
