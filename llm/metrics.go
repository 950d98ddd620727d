package llm

import "github.com/prometheus/client_golang/prometheus"

// Metrics returns what the router counts, for a registry of Prometheus.
func (r *Router) Metrics() prometheus.Collector { return collector{r} }

// collector tells of each model that this node can ask.
type collector struct{ router *Router }

var (
	choicesDesc = prometheus.NewDesc("singularity_model_choices_total",
		"Choices of a model, by why it was that one: policy, static, fallback or spending_limit.", []string{"provider", "model", "by"}, nil)
	openingsDesc = prometheus.NewDesc("singularity_model_breaker_openings_total",
		"How often a model's breaker has opened because the model did not answer.", []string{"provider", "model"}, nil)
	openDesc = prometheus.NewDesc("singularity_model_breaker_open",
		"1 while a model does not answer, and calls go elsewhere where they can.", []string{"provider", "model"}, nil)
)

// Describe implements [prometheus.Collector].
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- choicesDesc
	descs <- openingsDesc
	descs <- openDesc
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(found chan<- prometheus.Metric) {
	for _, t := range c.router.targets {
		for by := range t.choices {
			found <- prometheus.MustNewConstMetric(choicesDesc, prometheus.CounterValue, float64(t.choices[by].Load()),
				t.Provider, t.Name, ground(by).String())
		}
		found <- prometheus.MustNewConstMetric(openingsDesc, prometheus.CounterValue, float64(t.breaker.openings.Load()), t.Provider, t.Name)
		open := 1.0
		if t.breaker.closed() {
			open = 0
		}
		found <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, open, t.Provider, t.Name)
	}
}
