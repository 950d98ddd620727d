// Package bench measures an engine: latency and throughput of each durability
// level, one run at a time and with many in flight, beside a bare one-row
// commit on the same database; and what a long queue costs.
package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"singularity"
	"singularity/workflow"
)

// Config says what to measure.
type Config struct {
	// Dir is where the scratch databases are made. Defaults to a temporary
	// folder, removed afterwards.
	Dir string
	// DatabaseURL names a Postgres database to measure on instead. Its schema is
	// brought up to date, and what was measured stays there.
	DatabaseURL string
	// Workflows is how many runs a row measures per round. Defaults to 2,000.
	Workflows int
	// Steps is how many steps each has. Defaults to 4.
	Steps int
	// Concurrency is how many are in flight where many are. Defaults to 256.
	Concurrency int
	// StateBytes is the size of the encoded state. Defaults to 170.
	StateBytes int
	// Rounds is how often each row is measured, in turn; the report holds
	// medians. Defaults to 3.
	Rounds int
	// Levels are the durability levels to measure. Defaults to all.
	Levels []workflow.Durability
	// Version of the program, for the report.
	Version string
}

func (c Config) withDefaults() Config {
	for value, fallback := range map[*int]int{
		&c.Workflows: 2000, &c.Steps: 4, &c.Concurrency: 256, &c.StateBytes: 170, &c.Rounds: 3,
	} {
		if *value == 0 {
			*value = fallback
		}
	}
	if c.Levels == nil {
		c.Levels = []workflow.Durability{workflow.Ephemeral, workflow.Restartable, workflow.Checkpointed}
	}
	return c
}

func (c Config) validate() error {
	for _, number := range []struct {
		name  string
		value int
	}{{"workflows", c.Workflows}, {"steps", c.Steps}, {"concurrency", c.Concurrency}, {"state-bytes", c.StateBytes}, {"rounds", c.Rounds}} {
		if number.value < 1 {
			return fmt.Errorf("%s is %d; expected more than 0", number.name, number.value)
		}
	}
	if c.Steps > workflow.MaxSteps {
		return fmt.Errorf("steps is %d; a run may have %d", c.Steps, workflow.MaxSteps)
	}
	return nil
}

// Report is what a measurement found.
type Report struct {
	Version string    `json:"version"`
	Machine string    `json:"machine"`
	At      time.Time `json:"at"`
	Config  struct {
		Workflows  int `json:"workflows"`
		Steps      int `json:"steps"`
		StateBytes int `json:"state_bytes"`
		Rounds     int `json:"rounds"`
	} `json:"config"`
	// Floor is a bare commit of one row with a state, on the same database.
	Floor Percentiles `json:"floor_commit"`
	Rows  []Row       `json:"rows"`
}

// Row is one durability level at one concurrency: medians over the rounds.
type Row struct {
	Durability     workflow.Durability `json:"durability"`
	InFlight       int                 `json:"in_flight"`
	Step           Percentiles         `json:"step"` // from the start of a step's body to the start of the next
	Run            Percentiles         `json:"run"`  // from the start call to the result
	RunsPerSecond  float64             `json:"runs_per_second"`
	StepsPerSecond float64             `json:"steps_per_second"`
	// CommitsPerRun counts transactions, shared ones once.
	CommitsPerRun float64 `json:"commits_per_run"`
	// StepByFloor is the median step by the median bare commit, each of the
	// same round; the median over the rounds.
	StepByFloor float64 `json:"step_p50_by_floor"`
}

// Percentiles are durations in microseconds.
type Percentiles struct {
	P50 float64 `json:"p50_us"`
	P95 float64 `json:"p95_us"`
	P99 float64 `json:"p99_us"`
}

// Levels measures the durability levels, each round all of them in turn.
func Levels(ctx context.Context, cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return Report{}, err
	}
	dir, remove, err := scratch(cfg.Dir)
	if err != nil {
		return Report{}, err
	}
	defer remove()
	rig, err := open(ctx, dir, cfg)
	if err != nil {
		return Report{}, err
	}
	defer rig.close(ctx)
	report := newReport(cfg)
	var floors []Percentiles
	rows := map[cell][]Row{}
	for range cfg.Rounds {
		floor, err := rig.floor(ctx)
		if err != nil {
			return Report{}, fmt.Errorf("bare commits: %w", err)
		}
		floors = append(floors, floor)
		for _, c := range cfg.cells() {
			row, err := rig.measure(ctx, c)
			if err != nil {
				return Report{}, fmt.Errorf("%s, %d in flight: %w", c.level, c.inFlight, err)
			}
			row.StepByFloor = row.Step.P50 / floor.P50
			rows[c] = append(rows[c], row)
		}
	}
	report.Floor = medians(floors)
	for _, c := range cfg.cells() {
		report.Rows = append(report.Rows, medianRow(rows[c]))
	}
	return report, nil
}

// cell is what one row measures.
type cell struct {
	level    workflow.Durability
	inFlight int
}

func (c Config) cells() []cell {
	var cells []cell
	for _, level := range c.Levels {
		cells = append(cells, cell{level, 1})
		if c.Concurrency > 1 {
			cells = append(cells, cell{level, c.Concurrency})
		}
	}
	return cells
}

func newReport(cfg Config) Report {
	report := Report{
		Version: cfg.Version,
		Machine: fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version()),
		At:      time.Now().UTC().Truncate(time.Second),
	}
	report.Config.Workflows, report.Config.Steps = cfg.Workflows, cfg.Steps
	report.Config.StateBytes, report.Config.Rounds = cfg.StateBytes, cfg.Rounds
	return report
}

// scratch makes the folder to work in and says how to remove it.
func scratch(dir string) (path string, remove func(), err error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", nil, err
		}
	}
	path, err = os.MkdirTemp(dir, "singularity-bench-")
	if err != nil {
		return "", nil, fmt.Errorf("make a scratch folder: %w", err)
	}
	return path, func() { _ = os.RemoveAll(path) }, nil
}

// openEngine opens an engine on a database of its own below dir, or on the one
// that is given.
func (c Config) openEngine(ctx context.Context, dir string, slots int, definitions ...workflow.Definition) (*singularity.Engine, error) {
	engine := singularity.Config{Queues: map[string]int{"default": slots}}
	if c.DatabaseURL != "" {
		engine.DatabaseURL, engine.Migrate = c.DatabaseURL, true
	} else {
		engine.DataDir = filepath.Join(dir, "engine")
	}
	return singularity.Open(ctx, engine, definitions...)
}

func percentiles(samples []time.Duration) Percentiles {
	slices.Sort(samples)
	at := func(share float64) float64 {
		return float64(samples[min(int(share*float64(len(samples))), len(samples)-1)].Nanoseconds()) / 1e3
	}
	return Percentiles{at(0.50), at(0.95), at(0.99)}
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func medianOf[T any](all []T, field func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = field(one)
	}
	return median(values)
}

func medians(all []Percentiles) Percentiles {
	return Percentiles{
		medianOf(all, func(p Percentiles) float64 { return p.P50 }),
		medianOf(all, func(p Percentiles) float64 { return p.P95 }),
		medianOf(all, func(p Percentiles) float64 { return p.P99 }),
	}
}

func medianRow(rounds []Row) Row {
	row := rounds[0]
	steps, runs := make([]Percentiles, len(rounds)), make([]Percentiles, len(rounds))
	for i, round := range rounds {
		steps[i], runs[i] = round.Step, round.Run
	}
	row.Step, row.Run = medians(steps), medians(runs)
	row.RunsPerSecond = medianOf(rounds, func(r Row) float64 { return r.RunsPerSecond })
	row.StepsPerSecond = medianOf(rounds, func(r Row) float64 { return r.StepsPerSecond })
	row.CommitsPerRun = medianOf(rounds, func(r Row) float64 { return r.CommitsPerRun })
	row.StepByFloor = medianOf(rounds, func(r Row) float64 { return r.StepByFloor })
	return row
}
