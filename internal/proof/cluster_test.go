package proof

import (
	"context"
	"testing"
	"time"

	"singularity/centralcloud/pgmq"
	"singularity/internal/testpostgres"
)

const (
	// perRound is how many requests are under way at once, by all nodes; an equal
	// part of them is of each task.
	perRound = 48
	// resultsEvery is how often a node tells the hub of its calls.
	resultsEvery = 100 * time.Millisecond
)

// cluster is three nodes, a hub, and the servers that play providers.
type cluster struct {
	*played
	nodes    []*node
	hub      *process
	store    *pgmq.Store // of the hub, to look into
	common   nodeTask    // what all nodes have to know
	requests int         // that were made
}

// startCluster starts one whose hub is told to ask nobody but the reference.
func startCluster(t *testing.T, table *table) *cluster {
	t.Helper()
	c := &cluster{played: play(t, table)}
	c.common = nodeTask{
		Database: testpostgres.URL(t), HubDatabase: testpostgres.Empty(t), Servers: c.urls, ResultsEvery: resultsEvery,
	}
	if _, err := pgmq.MigrateUp(t.Context(), c.common.HubDatabase); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.store, err = pgmq.Open(t.Context(), pgmq.Config{URL: c.common.HubDatabase}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.store.Close() })
	c.hub = startHub(t, hubTask{Database: c.common.HubDatabase, Pinned: true})
	for _, name := range []string{"one", "two", "three"} {
		task := c.common
		task.Name = name
		node, err := openNode(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := node.close(ctx); err != nil {
				t.Error(err)
			}
		})
		c.nodes = append(c.nodes, node)
	}
	c.awaitPolicy(t, 0)
	return c
}

// awaitPolicy waits until all nodes follow a policy above a version.
func (c *cluster) awaitPolicy(t *testing.T, above int64) {
	t.Helper()
	await(t, func() string {
		for _, node := range c.nodes {
			if node.version() <= above {
				return "a node does not hear of a new policy"
			}
		}
		return ""
	})
}

// version is the highest that a node follows.
func (c *cluster) version() (highest int64) {
	for _, node := range c.nodes {
		highest = max(highest, node.version())
	}
	return highest
}

// ask makes so many rounds of requests, each of which has to get an answer, and
// returns what was served for them.
func (c *cluster) ask(t *testing.T, rounds int) accounts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	before := c.account()
	for range rounds {
		if err := spread(ctx, c.nodes, c.requests, perRound); err != nil {
			t.Fatal(err)
		}
		c.requests += perRound
	}
	return c.account().since(before)
}

// askAndLearn is ask, with a hub that has counted each round before the next.
func (c *cluster) askAndLearn(t *testing.T, rounds int) accounts {
	t.Helper()
	before := c.account()
	for range rounds {
		c.ask(t, 1)
		c.settle(t)
	}
	return c.account().since(before)
}

// settle waits until the hub has counted what was served, and no more.
func (c *cluster) settle(t *testing.T) {
	t.Helper()
	for _, node := range c.nodes {
		node.flush(t, "sync")
	}
	served := c.account()
	await(t, func() string {
		all, err := rows(t.Context(), c.store)
		if err != nil {
			t.Fatal(err)
		}
		return difference(served, counted(all))
	})
}
