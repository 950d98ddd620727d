package soak

import (
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// report is what all scenarios came to.
type report struct {
	mu       sync.Mutex
	started  time.Time
	postgres string

	Machine   machine    `json:"machine"`
	Started   string     `json:"started"`
	Seconds   float64    `json:"seconds"`
	Full      bool       `json:"full"`
	Rate      int        `json:"runs_started_per_second_of_load"`
	Scenarios []*verdict `json:"scenarios"`
}

// machine is where the figures are from.
type machine struct {
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	CPUs     int    `json:"cpus"`
	Go       string `json:"go"`
	CPU      string `json:"cpu,omitempty"`
	Kernel   string `json:"kernel,omitempty"`
	Postgres string `json:"postgres"`
	Durable  bool   `json:"database_on_disk"`
}

// results has the verdicts of this process.
var results = &report{started: time.Now()}

// Verdicts.
const (
	passed  = "passed"
	broken  = "broken"  // an invariant did not hold
	invalid = "invalid" // the fault did not happen, or not as it should
)

// verdict is what one scenario came to.
type verdict struct {
	Scenario string                 `json:"scenario"`
	Network  string                 `json:"network,omitempty"` // how it was broken
	Verdict  string                 `json:"verdict"`
	Seconds  float64                `json:"seconds"`
	Faults   int                    `json:"faults"`
	CPU      float64                `json:"cpu_share"` // of the machine, mean
	Counts   map[string]int         `json:"counts"`
	Times    map[string]percentiles `json:"times,omitempty"`
	Figures  map[string]figure      `json:"figures,omitempty"`
	Breaches []breach               `json:"breaches,omitempty"`
	Faulty   []string               `json:"faulty,omitempty"` // what else is broken or invalid
}

// percentiles are of durations, in milliseconds.
type percentiles struct {
	Count int     `json:"count"`
	Min   float64 `json:"min_ms"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// figure is what was measured, each time.
type figure struct {
	Median float64   `json:"median"`
	Rounds []float64 `json:"rounds"`
}

func figureOf(rounds ...float64) figure {
	sorted := slices.Sorted(slices.Values(rounds))
	return figure{sorted[len(sorted)/2], rounds}
}

func percentilesOf(durations []time.Duration) percentiles {
	if len(durations) == 0 {
		return percentiles{}
	}
	sorted := slices.Sorted(slices.Values(durations))
	// The smallest one that so many in a hundred do not exceed.
	at := func(percent int) float64 {
		return milliseconds(sorted[max((len(sorted)*percent+99)/100, 1)-1])
	}
	return percentiles{len(sorted), milliseconds(sorted[0]), at(50), at(99), at(100)}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

func (r *report) add(v *verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Scenarios = append(r.Scenarios, v)
}

// foundPostgres notes the version of the server.
func (r *report) foundPostgres(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.postgres = version
}

// write writes the report to a file, if it has a name.
func (r *report) write(name string) error {
	if name == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Machine = machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		CPU: cpuModel(), Kernel: firstLine("/proc/sys/kernel/osrelease"), Postgres: r.postgres, Durable: *full,
	}
	r.Started, r.Seconds = r.started.UTC().Format(time.RFC3339), time.Since(r.started).Round(time.Millisecond).Seconds()
	r.Full, r.Rate = *full, usualLoad()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

func firstLine(file string) string {
	text, _ := os.ReadFile(file) // the report goes without it elsewhere
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, model, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return ""
}
