package llm

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// numbers reads the metrics of one model: the name, and by which ground if any.
func (r *routed) numbers(t *testing.T, model string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r.Metrics())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["model"] == model && labels["provider"] != "" {
				name := strings.TrimPrefix(family.GetName(), "singularity_model_")
				numbers[strings.TrimSpace(name+" "+labels["by"])] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return numbers
}

func TestChoicesAndBreakersAreCounted(t *testing.T) {
	t.Parallel()
	provider := &flaky{class: map[string]Class{"at-3": Overload}}
	r := newRoutedTo(t, provider.complete, inOrder("other/at-3", "fake/at-2"))
	for range failuresToOpen {
		if _, err := r.attempts(t, r.selected(t)); err != nil {
			t.Fatal(err)
		}
	}
	r.policy = nil
	r.selected(t)
	for model, want := range map[string]map[string]float64{
		"at-3": {"choices_total policy": 3, "choices_total static": 0, "choices_total fallback": 0, "choices_total spending_limit": 0, "breaker_openings_total": 1, "breaker_open": 1},
		"at-2": {"choices_total policy": 0, "choices_total static": 1, "choices_total fallback": 3, "choices_total spending_limit": 0, "breaker_openings_total": 0, "breaker_open": 0},
		"at-4": {},
	} {
		got := r.numbers(t, model)
		if len(got) != len(want) {
			t.Errorf("%s: %v, expected %v", model, got, want)
		}
		for name, number := range want {
			if got[name] != number {
				t.Errorf("%s: %s is %g, expected %g", model, name, got[name], number)
			}
		}
	}
}
