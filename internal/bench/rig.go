package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of bare commits on Postgres
	_ "modernc.org/sqlite"             // and on SQLite

	"singularity"
	"singularity/workflow"
)

// rig is an engine with the workflows to measure, and a connection of its own
// to the same database.
type rig struct {
	cfg       Config
	engine    *singularity.Engine
	bare      *sql.DB
	insert    string // of a bare commit
	workflows map[workflow.Durability]*workflow.Workflow[load, load]
	// steps[w][i] is when step i of worker w's run began.
	steps [][]time.Time
}

// load is the state of a measured run: padded to the size that is asked for.
type load struct {
	Worker  int    `json:"worker"`
	Step    int    `json:"step"`
	Padding string `json:"padding"`
}

func open(ctx context.Context, dir string, cfg Config) (*rig, error) {
	r := &rig{cfg: cfg, workflows: map[workflow.Durability]*workflow.Workflow[load, load]{}}
	var definitions []workflow.Definition
	for _, level := range cfg.Levels {
		w := workflow.New("bench_"+string(level), r.bodies()...).Durability(level)
		r.workflows[level] = w
		definitions = append(definitions, w)
	}
	for range cfg.Concurrency {
		r.steps = append(r.steps, make([]time.Time, cfg.Steps))
	}
	engine, err := cfg.openEngine(ctx, dir, cfg.Concurrency, definitions...)
	if err != nil {
		return nil, err
	}
	r.engine = engine
	if cfg.DatabaseURL != "" {
		r.insert = `INSERT INTO singularity.bench_floor (doc) VALUES ($1)`
		r.bare, err = openBare(ctx, "pgx", cfg.DatabaseURL,
			`CREATE TABLE IF NOT EXISTS singularity.bench_floor (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, doc text NOT NULL)`)
	} else {
		// The settings are those of the store's own connection.
		file := "file:" + filepath.Join(dir, "engine", "singularity.db")
		r.insert = `INSERT INTO bench_floor (doc) VALUES (?)`
		r.bare, err = openBare(ctx, "sqlite", file+"?mode=rw&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_txlock=immediate",
			`CREATE TABLE bench_floor (id INTEGER PRIMARY KEY, doc TEXT NOT NULL)`)
	}
	if err != nil {
		return nil, errors.Join(err, engine.Close(ctx))
	}
	return r, nil
}

// bodies are steps that do nothing but note when they begin.
func (r *rig) bodies() []workflow.Step[load] {
	bodies := make([]workflow.Step[load], r.cfg.Steps)
	for i := range bodies {
		bodies[i] = workflow.Do(fmt.Sprintf("step_%d", i), func(_ context.Context, s *load) error {
			r.steps[s.Worker][i] = time.Now()
			s.Step = i
			return nil
		})
	}
	return bodies
}

func (r *rig) close(ctx context.Context) {
	if r.cfg.DatabaseURL != "" {
		_, _ = r.bare.ExecContext(ctx, `DROP TABLE singularity.bench_floor`)
	}
	_ = r.bare.Close()
	_ = r.engine.Close(ctx)
}

// openBare opens a second connection, and makes the table of bare commits.
func openBare(ctx context.Context, driver, name, table string) (*sql.DB, error) {
	db, err := sql.Open(driver, name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, table); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// floor times commits of one row each, one after the other.
func (r *rig) floor(ctx context.Context) (Percentiles, error) {
	insert, err := r.bare.PrepareContext(ctx, r.insert)
	if err != nil {
		return Percentiles{}, err
	}
	defer insert.Close()
	doc := strings.Repeat("x", r.cfg.StateBytes)
	samples := make([]time.Duration, r.cfg.Workflows)
	for i := range samples {
		began := time.Now()
		if _, err := insert.ExecContext(ctx, doc); err != nil {
			return Percentiles{}, err
		}
		samples[i] = time.Since(began)
	}
	return percentiles(samples), nil
}

// measure runs the workflows of one row.
func (r *rig) measure(ctx context.Context, c cell) (Row, error) {
	w := r.workflows[c.level]
	n := r.cfg.Workflows
	if c.inFlight > 1 {
		n = max(n, 8*c.inFlight) // long enough to be steady
	}
	var (
		next    atomic.Int64
		mu      sync.Mutex
		steps   = make([]time.Duration, 0, n*r.cfg.Steps)
		runs    = make([]time.Duration, 0, n)
		failure error
		workers sync.WaitGroup
	)
	before, began := r.engine.Stats(), time.Now()
	for worker := range c.inFlight {
		workers.Go(func() {
			for next.Add(1) <= int64(n) {
				total, each, err := r.one(ctx, w, worker)
				mu.Lock()
				failure = errors.Join(failure, err)
				runs = append(runs, total)
				steps = append(steps, each...)
				stop := failure != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	workers.Wait()
	elapsed := time.Since(began).Seconds()
	if failure != nil {
		return Row{}, failure
	}
	return Row{
		Durability:     c.level,
		InFlight:       c.inFlight,
		Step:           percentiles(steps),
		Run:            percentiles(runs),
		RunsPerSecond:  float64(n) / elapsed,
		StepsPerSecond: float64(n*r.cfg.Steps) / elapsed,
		CommitsPerRun:  float64(r.engine.Stats().Batches-before.Batches) / float64(n),
	}, nil
}

// one runs one run and returns how long it and each of its steps took.
func (r *rig) one(ctx context.Context, w *workflow.Workflow[load, load], worker int) (time.Duration, []time.Duration, error) {
	input := load{Worker: worker}
	empty, err := json.Marshal(input)
	if err != nil {
		return 0, nil, err
	}
	input.Padding = strings.Repeat("x", max(r.cfg.StateBytes-len(empty), 0))
	began := time.Now()
	run, err := w.Start(ctx, r.engine, input)
	if err != nil {
		return 0, nil, err
	}
	if _, err := run.Wait(ctx); err != nil {
		return 0, nil, err
	}
	ended := time.Now()
	starts := r.steps[worker]
	each := make([]time.Duration, len(starts))
	for i, start := range starts {
		next := ended
		if i+1 < len(starts) {
			next = starts[i+1]
		}
		each[i] = next.Sub(start)
	}
	return ended.Sub(began), each, nil
}
