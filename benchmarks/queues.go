package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/benchmarks/contender/scratch"
	"singularity/benchmarks/queues"
	"singularity/benchmarks/report"
)

// First arguments of the program.
const (
	// queuesCommand compares job queues.
	queuesCommand = "queues"
	// engineCommand is the process in which one engine is measured, once.
	engineCommand = "engine"
)

// queuesPlan is what to measure of job queues.
type queuesPlan struct {
	engines     []string
	rounds      int
	order       queues.Order // but for the database
	postgresBin string
	dataDir     string
}

func compareQueues(ctx context.Context, arguments []string, out io.Writer) error {
	p, asJSON, err := parseQueues(arguments)
	if err != nil {
		return err
	}
	r, err := p.measure(ctx, os.Stderr)
	if err != nil {
		return err
	}
	if err := write(out, r, asJSON); err != nil {
		return err
	}
	if len(r.Failures) > 0 {
		return fmt.Errorf("%d measurements failed", len(r.Failures))
	}
	return nil
}

func parseQueues(arguments []string) (p queuesPlan, asJSON bool, err error) {
	flags := flag.NewFlagSet(queuesCommand, flag.ContinueOnError)
	flags.Var((*list[string])(&p.engines), "engines", "who is measured, comma-separated (default: all that there are)")
	flags.IntVar(&p.rounds, "rounds", 3, "how often each is measured, in turn; the table shows medians")
	flags.IntVar(&p.order.Jobs, "jobs", 10_000, "how many jobs are added with one call, and drained")
	flags.IntVar(&p.order.Workers, "workers", 50, "how many jobs run at once while a queue is drained")
	flags.DurationVar(&p.order.Duration, "duration", 4*time.Second, "how long each measurement lasts at most")
	flags.StringVar(&p.postgresBin, "postgres-bin", "", "the folder of initdb and postgres (default: the newest that is installed)")
	flags.StringVar(&p.dataDir, "data-dir", "", "where the scratch databases are made, and removed (default: the temporary folder)")
	flags.BoolVar(&asJSON, "json", false, "print JSON instead of tables")
	if err := flags.Parse(arguments); err != nil {
		return p, false, err
	}
	if flags.NArg() > 0 {
		return p, false, fmt.Errorf("%q is not expected; all is said with flags", flags.Args())
	}
	if p.engines == nil {
		p.engines = queues.Names()
	}
	for _, name := range p.engines {
		if _, err := queues.New(name); err != nil {
			return p, false, err
		}
	}
	if p.rounds < 1 || p.order.Jobs < 1 || p.order.Workers < 1 || p.order.Duration <= 0 {
		return p, false, fmt.Errorf("%d rounds of %d jobs, %d workers and %v; expected more than 0 of each",
			p.rounds, p.order.Jobs, p.order.Workers, p.order.Duration)
	}
	return p, asJSON, nil
}

// measure carries the plan out. An engine that fails is reported and the others
// go on.
func (p queuesPlan) measure(ctx context.Context, log io.Writer) (r report.Queues, err error) {
	server, err := scratch.Start(ctx, scratch.Config{Bin: p.postgresBin, Dir: p.dataDir, Settings: postgresSettings})
	if err != nil {
		return r, fmt.Errorf("start a scratch Postgres: %w", err)
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	admin, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return r, err
	}
	defer admin.Close(ctx)
	r = report.Queues{
		At: time.Now().UTC().Truncate(time.Second), Machine: machine(),
		Rounds: p.rounds, Jobs: p.order.Jobs, Workers: p.order.Workers, Seconds: p.order.Duration.Seconds(),
	}
	if r.Postgres, err = describe(ctx, admin); err != nil {
		return r, err
	}
	var samples []report.QueueSample
	for round := range p.rounds {
		for i := range p.engines {
			// Each round begins with another one.
			name := p.engines[(i+round)%len(p.engines)]
			fmt.Fprintf(log, "round %d of %d: %s\n", round+1, p.rounds, name)
			if err := renewDatabase(ctx, admin); err != nil {
				return r, fmt.Errorf("make an empty database: %w", err)
			}
			answer, err := p.startEngine(ctx, name, server.URL(database))
			if ctx.Err() != nil {
				return r, context.Cause(ctx)
			}
			if err != nil {
				r.Failures = append(r.Failures, fmt.Sprintf("%s, round %d: %v", name, round+1, err))
				fmt.Fprintln(log, "failed:", err)
				continue
			}
			samples = append(samples, report.QueueSample{Engine: name, Round: round, Answer: answer})
		}
	}
	slices.SortStableFunc(samples, func(a, b report.QueueSample) int {
		return slices.Index(p.engines, a.Engine) - slices.Index(p.engines, b.Engine)
	})
	return r.Of(samples), nil
}

// startEngine measures an engine in a process of its own.
func (p queuesPlan) startEngine(ctx context.Context, name, databaseURL string) (answer queues.Answer, err error) {
	program, err := os.Executable()
	if err != nil {
		return answer, err
	}
	process := exec.CommandContext(ctx, program, engineCommand, "-name", name, "-database-url", databaseURL,
		"-jobs", strconv.Itoa(p.order.Jobs), "-workers", strconv.Itoa(p.order.Workers), "-duration", p.order.Duration.String())
	var log bytes.Buffer
	process.Stderr = &log
	output, err := process.Output()
	if err != nil {
		return answer, fmt.Errorf("the engine's process: %w; it wrote: %s", err, bytes.TrimSpace(log.Bytes()[max(0, log.Len()-2000):]))
	}
	return answer, json.Unmarshal(output, &answer)
}

func measureEngine(ctx context.Context, arguments []string, out io.Writer) error {
	var name string
	var order queues.Order
	flags := flag.NewFlagSet(engineCommand, flag.ContinueOnError)
	flags.StringVar(&name, "name", "", "who this is")
	flags.StringVar(&order.DatabaseURL, "database-url", "", "an empty database")
	flags.IntVar(&order.Jobs, "jobs", 0, "how many jobs are added and drained")
	flags.IntVar(&order.Workers, "workers", 0, "how many run at once")
	flags.DurationVar(&order.Duration, "duration", 0, "how long each measurement lasts at most")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	engine, err := queues.New(name)
	if err != nil {
		return err
	}
	answer, err := queues.Measure(ctx, engine, order)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(answer)
}
