package singularity

import (
	"github.com/prometheus/client_golang/prometheus"

	"singularity/actors"
	"singularity/persistence"
)

// takeoverMetric is what is told of takeovers on one ground.
type takeoverMetric struct {
	declared metric[actors.TakeoverStats]
	claimed  *prometheus.Desc
}

var takeoverMetrics = map[persistence.Ground]takeoverMetric{
	persistence.Crashed: newTakeoverMetric(persistence.Crashed),
	persistence.Lapsed:  newTakeoverMetric(persistence.Lapsed),
}

func newTakeoverMetric(ground persistence.Ground) takeoverMetric {
	label := []prometheus.Labels{{"ground": string(ground)}}
	return takeoverMetric{
		declared: counter("takeovers_total", "Nodes that this one declared dead, by ground: crashed or lapsed.",
			func(s actors.TakeoverStats) float64 { return float64(s.Declared) }, label...),
		claimed: newDesc("takeover_claim_seconds",
			"Time from the first suspicion of a node that this one declared dead until the first of its runs was claimed, in seconds.", label),
	}
}

func (m takeoverMetric) describe(descs chan<- *prometheus.Desc) {
	descs <- m.declared.desc
	descs <- m.claimed
}

func (m takeoverMetric) collect(stats actors.TakeoverStats, found chan<- prometheus.Metric) {
	found <- m.declared.read(stats)
	buckets := map[float64]uint64{}
	upTo := uint64(0)
	for i, bound := range actors.DurationBounds {
		upTo += uint64(stats.Claimed.Counts[i])
		buckets[bound.Seconds()] = upTo
	}
	found <- prometheus.MustNewConstHistogram(m.claimed, upTo+uint64(stats.Claimed.Longer), stats.Claimed.Sum.Seconds(), buckets)
}
