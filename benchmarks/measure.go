package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/contender/scratch"
	"singularity/benchmarks/contenders"
	"singularity/benchmarks/meter"
	"singularity/benchmarks/report"
)

// temporal is the contender that has a program of its own.
const temporal = "temporal"

// database is made anew for each contender's turn. What an earlier one left to
// vacuum, to flush or to replicate does not slow the next.
const database = "bench"

// postgresSettings are all that differs from a stock server.
var postgresSettings = map[string]string{
	"max_connections":          "200",
	"shared_preload_libraries": "pg_stat_statements",
}

// bench measures on one server.
type bench struct {
	plan   plan
	server *scratch.Server
	admin  *pgx.Conn
	meter  *meter.Meter
	log    io.Writer
}

// measure carries the plan out. A contender that fails is reported and the
// others go on.
func measure(ctx context.Context, p plan, log io.Writer) (r report.Report, err error) {
	server, err := scratch.Start(ctx, scratch.Config{Bin: p.postgresBin, Dir: p.dataDir, Settings: postgresSettings})
	if err != nil {
		return r, fmt.Errorf("start a scratch Postgres: %w", err)
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	b := &bench{plan: p, server: server, log: log}
	if b.admin, err = pgx.Connect(ctx, server.URL("postgres")); err != nil {
		return r, err
	}
	defer b.admin.Close(ctx)
	if b.meter, err = meter.New(ctx, server.URL("postgres"), server.PID()); err != nil {
		return r, err
	}
	defer b.meter.Close(ctx)
	return b.rounds(ctx)
}

func (b *bench) rounds(ctx context.Context) (report.Report, error) {
	r := report.Report{
		At:      time.Now().UTC().Truncate(time.Second),
		Machine: machine(),
		Rounds:  b.plan.rounds,
		Seconds: b.plan.duration.Seconds(),
	}
	var err error
	if r.Postgres, err = describe(ctx, b.admin); err != nil {
		return r, err
	}
	descriptions := map[string]contender.Description{}
	samples := map[string][]report.Sample{}
	for round := range b.plan.rounds {
		for _, bytes := range b.plan.stateBytes {
			for i := range b.plan.contenders {
				// Each round begins with another one.
				name := b.plan.contenders[(i+round)%len(b.plan.contenders)]
				fmt.Fprintf(b.log, "round %d of %d, %d bytes: %s\n", round+1, b.plan.rounds, bytes, name)
				t := turn{bench: b, name: name, bytes: bytes, round: round}
				description, taken, err := t.take(ctx)
				if ctx.Err() != nil {
					return r, context.Cause(ctx)
				}
				if err != nil {
					r.Failures = append(r.Failures, fmt.Sprintf("%s, %d bytes, round %d: %v", name, bytes, round+1, err))
					fmt.Fprintln(b.log, "failed:", err)
				}
				if description != (contender.Description{}) {
					descriptions[name] = description
				}
				samples[name] = append(samples[name], taken...)
			}
		}
	}
	var ordered []report.Sample // as the plan lists contenders, not as they took turns
	for _, name := range b.plan.contenders {
		r.Contenders = append(r.Contenders, report.Contender{Name: name, Description: descriptions[name]})
		ordered = append(ordered, samples[name]...)
	}
	slices.SortStableFunc(ordered, func(a, b report.Sample) int {
		return slices.Compare([]int{a.StateBytes, a.InFlight}, []int{b.StateBytes, b.InFlight})
	})
	r.Rows = report.Rows(ordered, contenders.Floor)
	r.Bests = report.Bests(r.Rows, contenders.Singularity, contenders.Commit, contenders.Floor)
	return r, nil
}

func machine() string {
	return fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

const describeServer = `
	SELECT 'Postgres ' || current_setting('server_version') || ', fsync ' || current_setting('fsync') ||
		', synchronous_commit ' || current_setting('synchronous_commit') || ', full_page_writes ' || current_setting('full_page_writes') ||
		', shared_buffers ' || current_setting('shared_buffers') || ', max_connections ' || current_setting('max_connections')`

func describe(ctx context.Context, admin *pgx.Conn) (string, error) {
	var description string
	err := admin.QueryRow(ctx, describeServer).Scan(&description)
	return description, err
}

// turn is one contender in one round, on a database and in a process of its own.
type turn struct {
	bench *bench
	name  string
	bytes int
	round int
}

const (
	// warmUp lets a contender connect, plan and fill its caches, uncounted.
	warmUp         = time.Second
	warmUpInFlight = 8
	// patience is how long the workflows under way may take to end.
	patience = 2 * time.Minute
)

func (t turn) take(ctx context.Context) (description contender.Description, samples []report.Sample, err error) {
	if err := renewDatabase(ctx, t.bench.admin); err != nil {
		return description, nil, fmt.Errorf("make an empty database: %w", err)
	}
	process, description, err := t.start(ctx)
	if err != nil {
		return description, nil, err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	if _, err := process.Measure(contender.Order{InFlight: min(warmUpInFlight, slices.Max(t.bench.plan.inFlight)), Duration: warmUp, Timeout: patience}); err != nil {
		return description, nil, fmt.Errorf("warm up: %w", err)
	}
	for _, inFlight := range t.bench.plan.inFlight {
		sample, err := t.measure(ctx, process, inFlight)
		if err != nil {
			return description, samples, fmt.Errorf("%d in flight: %w", inFlight, err)
		}
		samples = append(samples, sample)
	}
	return description, samples, nil
}

func (t turn) start(ctx context.Context) (*contender.Process, contender.Description, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, contender.Description{}, err
	}
	if t.name == temporal {
		program = t.bench.plan.temporal
	}
	job := contender.Job{
		DatabaseURL: t.bench.server.URL(database),
		StateBytes:  t.bytes,
		MaxInFlight: slices.Max(t.bench.plan.inFlight),
	}
	return contender.StartProcess(ctx, program, contender.Arguments(t.name, job, t.bench.plan.pgflowSQL)...)
}

func (t turn) measure(ctx context.Context, process *contender.Process, inFlight int) (report.Sample, error) {
	measurement, err := t.bench.meter.Start(ctx, database, process.PID())
	if err != nil {
		return report.Sample{}, err
	}
	duration := t.bench.plan.duration
	answer, err := process.Measure(contender.Order{InFlight: inFlight, Duration: duration, Timeout: duration + patience})
	if err != nil {
		return report.Sample{}, err
	}
	usage, err := measurement.Stop(ctx)
	return report.Sample{
		Cell:   report.Cell{Contender: t.name, StateBytes: t.bytes, InFlight: inFlight},
		Round:  t.round,
		Answer: answer,
		Usage:  usage,
	}, err
}

// renewDatabase leaves an empty database and nothing for a checkpoint to do.
func renewDatabase(ctx context.Context, admin *pgx.Conn) error {
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS " + database + " WITH (FORCE)",
		"CREATE DATABASE " + database,
		"CHECKPOINT",
	} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
