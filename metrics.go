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
	peers *peers // nil where there is no cluster
}

var batchSize = prometheus.NewDesc("singularity_journal_batch_size",
	"Writes that one transaction of the journal carried.", nil, nil)

// metric is one number of what is read at once.
type metric[S any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(S) float64
}

var metrics = []metric[actors.Stats]{
	counter("journal_batches_total", "Transactions that the journal committed.",
		func(s actors.Stats) float64 { return float64(s.Batches) }),
	counter("journal_writes_total", "Writes of runs that the journal committed.",
		func(s actors.Stats) float64 { return float64(s.Writes) }),
	counter("fenced_writes_total", "Writes that were refused because the run has another owner.",
		func(s actors.Stats) float64 { return float64(s.Fenced) }),
	counter("pruned_runs_total", "Runs that this node deleted because they had been kept long enough.",
		func(s actors.Stats) float64 { return float64(s.Pruned) }),
	gauge("retention_wait_seconds", "For how long the run that deletes what has expired has waited for a slot, as this node last saw.",
		func(s actors.Stats) float64 { return s.RetentionWaits.Seconds() }),
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

func counter[S any](name, help string, value func(S) float64, labels ...prometheus.Labels) metric[S] {
	return metric[S]{newDesc(name, help, labels), prometheus.CounterValue, value}
}

func gauge[S any](name, help string, value func(S) float64, labels ...prometheus.Labels) metric[S] {
	return metric[S]{newDesc(name, help, labels), prometheus.GaugeValue, value}
}

// newDesc describes a metric, whose labels, if any, are constant.
func newDesc(name, help string, labels []prometheus.Labels) *prometheus.Desc {
	var constant prometheus.Labels
	for _, some := range labels {
		constant = some
	}
	return prometheus.NewDesc("singularity_"+name, help, nil, constant)
}

func (m metric[S]) read(from S) prometheus.Metric {
	return prometheus.MustNewConstMetric(m.desc, m.kind, m.value(from))
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
	for _, m := range metrics {
		descs <- m.desc
	}
	for _, m := range takeoverMetrics {
		m.describe(descs)
	}
	if c.peers != nil {
		for _, m := range clusterMetrics {
			descs <- m.desc
		}
	}
	for _, m := range centralCloudMetrics { // a node may find its hub later
		descs <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(found chan<- prometheus.Metric) {
	stats := c.node.Stats()
	found <- sizesOf(stats)
	for _, m := range metrics {
		found <- m.read(stats)
	}
	for ground, m := range takeoverMetrics {
		m.collect(stats.Takeovers[ground], found)
	}
	if c.peers != nil {
		cluster := c.peers.stats()
		for _, m := range clusterMetrics {
			found <- m.read(cluster)
		}
	}
	if hub := stats.CentralCloud; hub != nil {
		for _, m := range centralCloudMetrics {
			found <- m.read(*hub)
		}
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
