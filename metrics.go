package singularity

import (
	"github.com/prometheus/client_golang/prometheus"

	"singularity/actors"
)

// Metrics returns what the engine counts since Open, for a registry of
// Prometheus.
func (e *Engine) Metrics() prometheus.Collector { return collector{e.node, e.peers} }

// collector reads one node. Its numbers belong together: they are read at once.
type collector struct {
	node  *actors.Node
	peers *peers
}

var batchSize = prometheus.NewDesc("singularity_journal_batch_size",
	"Writes that one transaction of the journal carried.", nil, nil)

// What there is in a cluster only.
var (
	clusterMembers = prometheus.NewDesc("singularity_cluster_members",
		"Nodes of the cluster that this one sees, itself included.", nil, nil)
	clusterComplete = prometheus.NewDesc("singularity_cluster_complete",
		"1 while messages reach all other nodes that live.", nil, nil)
)

// metric is one number of a node's [actors.Stats].
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(actors.Stats) float64
}

var metrics = []metric{
	counter("journal_batches_total", "Transactions that the journal committed.",
		func(s actors.Stats) float64 { return float64(s.Batches) }),
	counter("journal_writes_total", "Writes of runs that the journal committed.",
		func(s actors.Stats) float64 { return float64(s.Writes) }),
	counter("fenced_writes_total", "Writes that were refused because the run has another owner.",
		func(s actors.Stats) float64 { return float64(s.Fenced) }),
	counter("takeovers_total", "Nodes that this one declared dead.",
		func(s actors.Stats) float64 { return float64(s.Takeovers) }),
	gauge("runs_in_memory", "Runs that have a slot.",
		func(s actors.Stats) float64 { return float64(s.Runs) }),
	gauge("lost_slots", "Slots of steps that ignore their cancelled context.",
		func(s actors.Stats) float64 { return float64(s.LostSlots) }),
	gauge("store_outage", "1 while the store takes no writes.",
		func(s actors.Stats) float64 { return oneIf(s.Outage) }),
	gauge("lease_valid", "1 while the node's lease lets it begin runs and steps; always 1 on a store of its own.",
		func(s actors.Stats) float64 { return oneIf(s.Leased) }),
	gauge("draining", "1 while the node takes no more work because it stops.",
		func(s actors.Stats) float64 { return oneIf(s.Draining) }),
}

func counter(name, help string, value func(actors.Stats) float64) metric {
	return metric{prometheus.NewDesc("singularity_"+name, help, nil, nil), prometheus.CounterValue, value}
}

func gauge(name, help string, value func(actors.Stats) float64) metric {
	return metric{prometheus.NewDesc("singularity_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// Describe implements [prometheus.Collector].
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- batchSize
	descs <- clusterMembers
	descs <- clusterComplete
	for _, m := range metrics {
		descs <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(found chan<- prometheus.Metric) {
	stats := c.node.Stats()
	found <- sizesOf(stats)
	for _, m := range metrics {
		found <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(stats))
	}
	if c.peers != nil {
		found <- prometheus.MustNewConstMetric(clusterMembers, prometheus.GaugeValue, float64(c.peers.members()))
		found <- prometheus.MustNewConstMetric(clusterComplete, prometheus.GaugeValue, oneIf(c.peers.Complete()))
	}
}

// sizesOf counts the batches up to each size, as Prometheus wants it.
func sizesOf(stats actors.Stats) prometheus.Metric {
	buckets := map[float64]uint64{}
	upTo, most := uint64(0), 1.0
	for _, batches := range stats.Sizes.Counts {
		upTo += uint64(batches)
		buckets[most] = upTo
		most *= 2
	}
	return prometheus.MustNewConstHistogram(batchSize, upTo+uint64(stats.Sizes.Larger), float64(stats.Sizes.Sum), buckets)
}
