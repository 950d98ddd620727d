package soak

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// cluster is one scenario: nodes on a server of their own, what is known of
// them, and what the scenario comes to.
type cluster struct {
	t       *testing.T
	server  *testpostgres.Server
	url     string  // of the database, for the nodes
	talking bool    // the nodes have streams to each other
	network network // nil if nothing of it breaks
	secrets string  // the folder of what nodes in a network prove who they are by
	audit   *audit
	ledger  *ledger
	starts  *starts
	verdict *verdict
	took    map[string][]time.Duration // what is noted one by one
	began   time.Time
	cpu     cpuTime
	mended  time.Time // when the database was there again

	mu    sync.Mutex
	nodes []*node // that are not expected to end
	turn  int

	broken, invalid []string
}

// judgeAfter is how long a node has been there before it takes the silence of
// others for their death, with a little time for its start.
const judgeAfter = 11 * time.Second

// newCluster begins a scenario, without nodes.
func newCluster(t *testing.T, scenario string) *cluster {
	t.Helper()
	return newClusterOn(t, scenario, usualServer())
}

// newClusterOn is newCluster with a server that differs from the usual.
func newClusterOn(t *testing.T, scenario string, server testpostgres.Config) *cluster {
	t.Helper()
	return newClusterAt(t, loopback, scenario, server)
}

// loopback is where nodes and their surroundings listen that have no network.
const loopback = "127.0.0.1"

// newClusterAt is newClusterOn with a ledger that listens at another address.
func newClusterAt(t *testing.T, host, scenario string, server testpostgres.Config) *cluster {
	t.Helper()
	c := &cluster{
		t:      t,
		ledger: newLedger(t, host),
		starts: newStarts(),
		took:   map[string][]time.Duration{},
		began:  time.Now(),
		verdict: &verdict{
			Scenario: scenario, Verdict: broken, Faulty: []string{"it did not come to its end; the output of the test says why"},
			Counts: map[string]int{}, Times: map[string]percentiles{}, Figures: map[string]figure{},
		},
	}
	t.Cleanup(func() { results.add(c.verdict) })
	c.server = testpostgres.Start(t, server)
	c.url = c.server.URL(testpostgres.Database)
	if _, err := postgres.MigrateUp(t.Context(), c.url); err != nil {
		t.Fatal(err)
	}
	c.audit = newAudit(t, c.url)
	version, err := one[string](t.Context(), c.audit, `SHOW server_version`)
	if err != nil {
		t.Fatal(err)
	}
	results.foundPostgres(version)
	return c
}

// usualServer is one that knows when each transaction was committed.
func usualServer() testpostgres.Config {
	return testpostgres.Config{
		TCP: true, Durable: *full,
		Settings: map[string]string{"track_commit_timestamp": "on"},
	}
}

// launch adds a node.
func (c *cluster) launch(hooks ...string) *node {
	c.t.Helper()
	return c.launchAt(c.url, nil, hooks...)
}

// launchAt adds a node that reaches the database by a URL of its own.
func (c *cluster) launchAt(url string, args []string, hooks ...string) *node {
	c.t.Helper()
	return c.launchBy(nil, url, args, hooks...)
}

// launchBy is launchAt with a command that the program is started by.
func (c *cluster) launchBy(command []string, url string, args []string, hooks ...string) *node {
	c.t.Helper()
	n := launch(c.t, slices.Concat(command, []string{program}, c.args(url), args), hooks...)
	c.remember(n)
	return n
}

// args are what all nodes of the scenario are told.
func (c *cluster) args(url string) []string {
	return []string{
		"-database-url", url, "-ledger", c.ledger.URL, "-talk=" + strconv.FormatBool(c.talking),
		"-cluster", strings.NewReplacer("http://", "", ":", "-").Replace(c.ledger.URL),
	}
}

// remember has clients ask a node.
func (c *cluster) remember(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
}

// launchSome adds nodes, which start at the same time.
func (c *cluster) launchSome(count int) {
	c.t.Helper()
	begun := make([]*node, count)
	for i := range begun {
		begun[i] = begin(c.t, append([]string{program}, c.args(c.url)...))
	}
	for _, n := range begun {
		n.awaitStart()
		c.remember(n)
	}
}

// forget takes a node out of those that clients ask, before it ends.
func (c *cluster) forget(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = slices.DeleteFunc(c.nodes, func(other *node) bool { return other == n })
}

// next is the node that the next call goes to.
func (c *cluster) next() *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.nodes) == 0 {
		return nil
	}
	c.turn++
	return c.nodes[c.turn%len(c.nodes)]
}

func (c *cluster) living() []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// awaitJudges waits until so many nodes other than one have been there, and
// had the database, for long enough to declare others dead.
func (c *cluster) awaitJudges(besides *node, count int) {
	c.t.Helper()
	await(c.t, func(context.Context) (string, error) {
		judges := 0
		for _, n := range c.living() {
			if n != besides && time.Since(n.ready) >= judgeAfter && time.Since(c.mended) >= judgeAfter {
				judges++
			}
		}
		if judges < count {
			return fmt.Sprintf("%d nodes may judge, %d are needed", judges, count), nil
		}
		return "", nil
	})
}

const bootOf = `SELECT boot FROM singularity.node_leases WHERE pid = $1 ORDER BY created_at DESC LIMIT 1`

// boot is the latest one of a node.
func (c *cluster) boot(n *node) string {
	c.t.Helper()
	boot, err := one[string](c.t.Context(), c.audit, bootOf, n.pid())
	if err != nil {
		c.t.Fatalf("find the boot of node %d: %v", n.pid(), err)
	}
	return boot
}

// awaitNewBoot waits until a node that was declared dead is another one.
func (c *cluster) awaitNewBoot(n *node, dead string) {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (string, error) {
		if boot, err := one[string](ctx, c.audit, bootOf, n.pid()); err != nil || boot != dead {
			return "", err
		}
		return fmt.Sprintf("node %d does not know that it is dead", n.pid()), nil
	})
}

// awaitEnds waits until all runs have ended that clients know to be there.
func (c *cluster) awaitEnds() {
	c.t.Helper()
	var ids []string
	for id := range c.starts.all() {
		ids = append(ids, id.String())
	}
	const unfinished = `
SELECT coalesce(min(wanted.id || ' is ' || coalesce(run.state, 'not there')), '')
FROM unnest($1::text[]) AS wanted (id)
LEFT JOIN singularity.workflow_runs AS run ON run.id = wanted.id::uuid
WHERE run.state IN ` + terminal + ` IS NOT TRUE AND wanted.id::uuid NOT IN (SELECT run FROM soak.lost_runs)`
	await(c.t, func(ctx context.Context) (string, error) {
		left, err := one[string](ctx, c.audit, unfinished, ids)
		if left != "" {
			left = "run " + left
		}
		return left, err
	})
}

// told notes a start that was acknowledged.
func (c *cluster) told(id workflow.RunID) { c.starts.note(id, acknowledged) }
