package soak

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"singularity/workflow"
)

// herdClients start runs at the same time.
const herdClients = 64

// TestManyNodesAndManyRunsStartTogether starts nodes, and runs that are more than
// they can have at once.
func TestManyNodesAndManyRunsStartTogether(t *testing.T) {
	t.Parallel()
	nodes, runs := 4, 1_000
	if *full {
		nodes, runs = 10, 20_000
	}
	c := newCluster(t, fmt.Sprintf("herd of %d nodes that talk and %d runs", nodes, runs))
	c.talking = true
	c.begin()
	began := time.Now()
	load := c.startAll(runs)
	c.launchSome(nodes)
	started := time.Now()
	connections := 0
	for due := 0; due < runs; {
		due = min(due+1000, runs)
		c.ledger.await(t, fmt.Sprintf("the steps of %d runs", due), func(effects []Effect) bool { return len(effects) >= 3*due })
		connections = max(connections, c.connections())
	}
	load.stop()
	c.awaitEnds()
	lasted := time.Since(began)
	var peaks []float64
	for _, n := range c.living() {
		peaks = append(peaks, float64(peakMemory(n.pid()))/1024)
	}
	c.verdict.Faults = nodes
	c.verdict.Times["start_to_all_nodes_ready"] = percentilesOf([]time.Duration{started.Sub(began)})
	c.verdict.Times["start_to_all_runs_ended"] = percentilesOf([]time.Duration{lasted})
	c.verdict.Figures["runs_per_second"] = figureOf(float64(runs) / lasted.Seconds())
	c.verdict.Figures["peak_memory_of_nodes_mib"] = figureOf(peaks...)
	c.verdict.Counts["connections_at_most"] = connections
	c.settle()
	c.countSteps(nodes)
	c.expectNothingRepeated()
	c.expectNobodyDead()
	c.conclude()
}

// startAll starts so many runs as fast as the nodes take them.
func (c *cluster) startAll(count int) *load {
	l := c.newLoad()
	var begun atomic.Int64
	for range herdClients {
		l.clients.Go(func() {
			for begun.Add(1) <= int64(count) {
				l.start(loadRequest(workflow.NewRunID()))
			}
		})
	}
	return l
}

// connections counts those that the nodes have to the server now.
func (c *cluster) connections() int {
	c.t.Helper()
	count, err := one[int](c.t.Context(), c.audit, `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'singularity/%'`)
	if err != nil {
		c.t.Fatal(err)
	}
	return count
}

// countSteps notes how the steps were shared, and expects some on each node
// where there are enough for the last one to start.
func (c *cluster) countSteps(nodes int) {
	c.t.Helper()
	steps := map[int]int{}
	for _, effect := range c.ledger.all() {
		steps[effect.PID]++
	}
	var shares []float64
	for _, count := range steps {
		shares = append(shares, float64(count))
	}
	c.verdict.Figures["steps_of_nodes"] = figureOf(shares...)
	if *full && len(steps) != nodes {
		c.brokenly("%d nodes of %d had a step", len(steps), nodes)
	}
}
