package soak

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"testing"

	"singularity/cluster/certs"
	"singularity/cluster/gossip"
	"singularity/internal/testpostgres"
)

var networkKind = flag.String("soak.network", "", "how the network is broken: "+byNamespaces+", which needs root, ip and nft, or "+
	byProcesses+"; empty for the first, or the second where that is not possible")

// Kinds of networks.
const (
	byNamespaces = "namespaces" // frames are dropped on their way between real interfaces
	byProcesses  = "processes"  // the nodes lose packets and hold up streams themselves
)

// network is what the nodes of a scenario, and Postgres, reach each other by.
type network interface {
	kind() string
	// host is the address at which the test listens for nodes. No fault is
	// between the two.
	host() string
	// postgres is the site of the server.
	postgres() *site
	// join adds a site for a node, which is to reach Postgres at an address.
	join(postgres string) *site
	// suffer makes these the faults that there are.
	suffer(faults ...fault)
	// lost is how often something did not get where it was sent to.
	lost() int
}

// site is one end of a network.
type site struct {
	address  string
	postgres string   // address with port
	command  []string // what a program is started there by
	hooks    []string // of the program
	node     *node    // nil before it was launched, and for Postgres
	reached  []string // addresses with ports at which other nodes reach it, if they are known
}

// fault keeps a percentage of what is sent from one site to another from
// arriving.
type fault struct {
	from, to *site
	percent  int
}

// everything is the percentage of a cut.
const everything = 100

// between are the faults in both directions.
func between(a, b *site, percent int) []fault {
	return []fault{{a, b, percent}, {b, a, percent}}
}

// amongAll are the faults between any two sites.
func amongAll(sites []*site, percent int) (faults []fault) {
	for i, a := range sites {
		for _, b := range sites[:i] {
			faults = append(faults, between(a, b, percent)...)
		}
	}
	return faults
}

// newNetwork makes a network of a kind, or of the best one if that is empty.
func newNetwork(t testing.TB, kind string) network {
	t.Helper()
	if kind == byProcesses {
		return newProcesses(t)
	}
	n, err := newNamespaces(t)
	switch {
	case err == nil:
		return n
	case kind == "":
		t.Logf("the nodes break the network themselves, for lack of namespaces: %v", err)
		return newProcesses(t)
	}
	t.Fatalf("make a network of namespaces: %v", err)
	return nil
}

// newClusterIn begins a scenario whose nodes have a network that breaks.
func newClusterIn(t *testing.T, scenario, kind string) *cluster {
	t.Helper()
	n := newNetwork(t, kind)
	server := usualServer()
	server.Address = n.postgres().address
	c := newClusterAt(t, n.host(), fmt.Sprintf("%s (%s)", scenario, n.kind()), server)
	c.network, c.talking, c.secrets, c.verdict.Network = n, true, t.TempDir(), n.kind()
	if err := certs.Init(c.authority(), "soak"); err != nil {
		t.Fatal(err)
	}
	if err := gossip.WriteKeyFile(c.gossipKeys(), []gossip.Key{gossip.NewKey()}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) authority() string  { return filepath.Join(c.secrets, "authority") }
func (c *cluster) gossipKeys() string { return filepath.Join(c.secrets, "gossip.keys") }

// launchSites adds nodes, each at a site of its own, and waits until all reach
// each other.
func (c *cluster) launchSites(count int) []*site {
	c.t.Helper()
	var sites []*site
	for i := range count {
		s := c.network.join(c.server.Addr())
		identity := filepath.Join(c.secrets, fmt.Sprint("node", i))
		if err := certs.Node(c.authority(), identity, s.address); err != nil {
			c.t.Fatal(err)
		}
		url := c.server.URLVia(s.postgres, testpostgres.Database)
		s.node = c.launchBy(s.command, url, []string{"-host", s.address, "-tls-dir", identity, "-gossip-key-file", c.gossipKeys()}, s.hooks...)
		sites = append(sites, s)
	}
	c.awaitWhole(sites)
	return sites
}

// awaitWhole waits until each node sees all, and messages reach them.
func (c *cluster) awaitWhole(sites []*site) {
	c.t.Helper()
	c.awaitMetric(sites, `singularity_cluster_members{state="alive"}`, float64(len(sites)))
	c.awaitMetric(sites, "singularity_cluster_complete", 1)
}

// awaitAlone waits until each node sees itself alone, and knows that there are
// others.
func (c *cluster) awaitAlone(sites []*site) {
	c.t.Helper()
	c.awaitMetric(sites, `singularity_cluster_members{state="alive"}`, 1)
	c.awaitMetric(sites, "singularity_cluster_complete", 0)
}

// awaitMetric waits until one of the nodes' numbers has a value at each.
func (c *cluster) awaitMetric(sites []*site, name string, want float64) {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (string, error) {
		for _, s := range sites {
			if value, err := s.node.metric(ctx, name); err != nil || value != want {
				return fmt.Sprintf("at node %d %s is %v, not %v", s.node.pid(), name, value, want), err
			}
		}
		return "", nil
	})
}

// mend ends all faults.
func (c *cluster) mend() { c.network.suffer() }

// awaitLosses is for the end of a fault: since it began something was lost.
func (c *cluster) awaitLosses(before int, when string) {
	c.t.Helper()
	lost := 0
	await(c.t, func(context.Context) (missing string, err error) {
		if lost = c.network.lost() - before; lost == 0 {
			missing = when + ", nothing is lost"
		}
		return missing, nil
	})
	c.verdict.Counts[key("lost %s", when)] += lost
}
