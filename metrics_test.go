package singularity_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"singularity"
	"singularity/server"
	"singularity/workflow"
)

// scrape reads the engine's own metrics as Prometheus would.
func scrape(t *testing.T, engine *singularity.Engine) map[string]float64 {
	t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/metrics", http.NoBody)
	server.Handler(engine, server.Config{}).ServeHTTP(recorder, request)
	found := map[string]float64{}
	for line := range strings.Lines(recorder.Body.String()) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "singularity_") {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		found[name] = value
	}
	return found
}

func TestMetricsCountWhatTheEngineDid(t *testing.T) {
	t.Parallel()
	twoSteps := workflow.New("two_steps", note("a"), note("b"))
	engine := open(t, singularity.Config{}, twoSteps)
	run, err := twoSteps.Start(t.Context(), engine, tally{})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, engine, run)

	got := scrape(t, engine)

	batches, writes := got["singularity_journal_batches_total"], got["singularity_journal_writes_total"]
	if batches < 3 || writes < batches {
		t.Errorf("%v writes in %v batches, want at least the start and two checkpoints, one after the other", writes, batches)
	}
	for name, want := range map[string]float64{
		"singularity_journal_batch_size_count":             batches,
		`singularity_journal_batch_size_bucket{le="256"}`:  batches,
		`singularity_journal_batch_size_bucket{le="+Inf"}`: batches,
		"singularity_fenced_writes_total":                  0,
		`singularity_takeovers_total{ground="crashed"}`:    0,
		`singularity_takeovers_total{ground="lapsed"}`:     0,
		"singularity_lost_slots":                           0,
		"singularity_store_outage":                         0,
		"singularity_lease_valid":                          1,
		"singularity_draining":                             0,
	} {
		if value, there := got[name]; !there || value != want {
			t.Errorf("%s is %v (there: %t), want %v", name, value, there, want)
		}
	}
	if sum := got["singularity_journal_batch_size_sum"]; sum < writes {
		t.Errorf("the batches had %v writes, of which %v were committed", sum, writes)
	}
	if lone := got[`singularity_journal_batch_size_bucket{le="1"}`]; lone < 1 || lone > batches {
		t.Errorf("%v of %v batches were lone writes", lone, batches)
	}
	if _, there := got["singularity_runs_in_memory"]; !there {
		t.Errorf("got %v, want the runs in memory", got)
	}
}

func TestMetricsSayThatTheEngineDrains(t *testing.T) {
	t.Parallel()
	engine := open(t, singularity.Config{})
	closeEngine(t, engine)
	if got := scrape(t, engine)["singularity_draining"]; got != 1 {
		t.Errorf("after Close singularity_draining is %v, want 1", got)
	}
}
