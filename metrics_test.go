package singularity_test

import (
	"math"
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
	before := scrape(t, engine)
	run, err := twoSteps.Start(t.Context(), engine, tally{})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, engine, run)

	got := scrape(t, engine)

	const commits = 3 // the start and two checkpoints, each alone
	for name, more := range map[string]float64{
		"singularity_journal_batches_total":                commits,
		"singularity_journal_writes_total":                 commits,
		"singularity_journal_batch_size_sum":               commits,
		"singularity_journal_batch_size_count":             commits,
		`singularity_journal_batch_size_bucket{le="1"}`:    commits,
		`singularity_journal_batch_size_bucket{le="256"}`:  commits,
		`singularity_journal_batch_size_bucket{le="+Inf"}`: commits,
		"singularity_fenced_writes_total":                  0,
		"singularity_takeovers_total":                      0,
		"singularity_lost_slots":                           0,
		"singularity_store_outage":                         0,
		"singularity_lease_valid":                          0,
		"singularity_draining":                             0,
	} {
		value, there := got[name]
		if !there || math.Abs(value-before[name]-more) > 0 {
			t.Errorf("%s went from %v to %v (there: %t), want %v more", name, before[name], value, there, more)
		}
	}
	if _, there := got["singularity_runs_in_memory"]; !there || got["singularity_lease_valid"] != 1 {
		t.Errorf("got %v, want a lease that is valid, and the runs in memory", got)
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
