package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"singularity/centralcloud"
)

// Metrics returns what the hub counts, for a registry of Prometheus.
func (h *Hub) Metrics() prometheus.Collector { return h.metrics.registry }

// instruments are the numbers of a hub. What describes the store is that of the last
// tick, or of the last minute, while the hub leads.
type instruments struct {
	registry *prometheus.Registry

	leads                     prometheus.Gauge
	ticks                     prometheus.Histogram
	results, hellos           prometheus.Counter // messages
	counted, duplicates, late prometheus.Counter // rows
	dead                      prometheus.Counter
	policyVersion             prometheus.Gauge
	policyMadeAt              prometheus.Gauge
	reading, away             prometheus.Gauge // instances
	lengths, oldest           *prometheus.GaugeVec
}

func newInstruments() *instruments {
	const prefix = "singularity_hub_"
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: prefix + name, Help: help}
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Name: prefix + name, Help: help}
	}
	messages := prometheus.NewCounterVec(counter("messages_total", "Messages of nodes that this hub counted while it led, by type."), []string{"type"})
	rows := prometheus.NewCounterVec(counter("rows_total", "Rows of counters that nodes sent: counted, duplicate (as high a revision was there), or late (too old to be counted)."), []string{"outcome"})
	instances := prometheus.NewGaugeVec(gauge("instances", "Nodes that report, by whether they are reading what they are taught, or are away."), []string{"state"})
	i := &instruments{
		registry: prometheus.NewRegistry(),

		leads: prometheus.NewGauge(gauge("leads", "1 while this hub leads, 0 while it waits for its turn.")),
		ticks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "tick_seconds", Help: "How long ticks took, in which a leader learns and teaches.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 7),
		}),
		results: messages.WithLabelValues(centralcloud.TypeResults),
		hellos:  messages.WithLabelValues(centralcloud.TypeHello),

		counted:    rows.WithLabelValues("counted"),
		duplicates: rows.WithLabelValues("duplicate"),
		late:       rows.WithLabelValues("late"),

		dead:          prometheus.NewCounter(counter("dead_letters_total", "Messages of nodes that this hub could not make sense of, and put aside.")),
		policyVersion: prometheus.NewGauge(gauge("policy_version", "Version of the newest policy; 0 for none, and while another hub leads.")),
		policyMadeAt:  prometheus.NewGauge(gauge("policy_made_timestamp_seconds", "When that policy was made, in Unix seconds of the clock of the database.")),
		reading:       instances.WithLabelValues("reading"),
		away:          instances.WithLabelValues("away"),

		lengths: prometheus.NewGaugeVec(gauge("queue_messages", "Messages in a queue, as the leader saw within the last minute; instance_learning is all of those from the hub to nodes."), []string{"queue"}),
		oldest:  prometheus.NewGaugeVec(gauge("queue_oldest_seconds", "Age of the oldest message in a queue, likewise."), []string{"queue"}),
	}
	i.registry.MustRegister(i.leads, i.ticks, messages, rows, i.dead, i.policyVersion, i.policyMadeAt, instances, i.lengths, i.oldest)
	return i
}

// leaves forgets what only a leader knows.
func (i *instruments) leaves() {
	for _, gauge := range []prometheus.Gauge{i.leads, i.policyVersion, i.policyMadeAt, i.reading, i.away} {
		gauge.Set(0)
	}
	i.lengths.Reset()
	i.oldest.Reset()
}

func (i *instruments) ticked(took time.Duration, policy *centralcloud.Policy) {
	i.ticks.Observe(took.Seconds())
	if policy != nil {
		i.policyVersion.Set(float64(policy.Version))
		i.policyMadeAt.Set(float64(policy.MadeAt.UnixMilli()) / 1000)
	}
}

func (i *instruments) instances(all, reading int) {
	i.reading.Set(float64(reading))
	i.away.Set(float64(all - reading))
}

func (i *instruments) queue(name string, length queueLength) {
	i.lengths.WithLabelValues(name).Set(float64(length.messages))
	i.oldest.WithLabelValues(name).Set(length.oldest.Seconds())
}
