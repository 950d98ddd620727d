// Benchmarks runs the same durable workflow on Singularity and on its peers,
// in turn on one Postgres of its own, and prints what each took and used. With
// queues as its first argument it measures their job queues instead.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/contenders"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(arguments) > 0 {
		switch arguments[0] {
		case contender.Command:
			return contend(ctx, arguments[1:])
		case queuesCommand:
			return compareQueues(ctx, arguments[1:], os.Stdout)
		case engineCommand:
			return measureEngine(ctx, arguments[1:], os.Stdout)
		}
	}
	return compare(ctx, arguments)
}

// contend is the process of one contender.
func contend(ctx context.Context, arguments []string) error {
	name, job, assets, err := contender.ParseArguments(arguments)
	if err != nil {
		return err
	}
	c, err := contenders.New(name, contenders.Assets{PgflowSQL: assets})
	if err != nil {
		return err
	}
	return contender.Serve(ctx, c, job, os.Stdin, os.Stdout)
}

// plan is what to measure.
type plan struct {
	contenders  []string
	rounds      int
	inFlight    []int
	stateBytes  []int
	duration    time.Duration
	postgresBin string
	dataDir     string
	pgflowSQL   string
	temporal    string
}

func compare(ctx context.Context, arguments []string) error {
	p, asJSON, err := parse(arguments)
	if err != nil {
		return err
	}
	r, err := measure(ctx, p, os.Stderr)
	if err != nil {
		return err
	}
	if err := write(os.Stdout, r, asJSON); err != nil {
		return err
	}
	if len(r.Failures) > 0 {
		return fmt.Errorf("%d measurements failed", len(r.Failures))
	}
	return nil
}

func parse(arguments []string) (p plan, asJSON bool, err error) {
	p = plan{inFlight: []int{1, 8, 50, 500}, stateBytes: []int{150}}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.Var((*list[string])(&p.contenders), "contenders", "who is measured, comma-separated (default: all that there are)")
	flags.IntVar(&p.rounds, "rounds", 3, "how often each is measured, in turn; the table shows medians")
	flags.Var((*list[int])(&p.inFlight), "in-flight", "how many workflows are under way at once, comma-separated; 1 is the latency")
	flags.Var((*list[int])(&p.stateBytes), "state-bytes", "the size of a workflow's state as JSON, comma-separated")
	flags.DurationVar(&p.duration, "duration", 3*time.Second, "how long each measurement starts workflows")
	flags.StringVar(&p.postgresBin, "postgres-bin", "", "the folder of initdb and postgres (default: the newest that is installed)")
	flags.StringVar(&p.dataDir, "data-dir", "", "where the scratch databases are made, and removed (default: the temporary folder)")
	flags.StringVar(&p.pgflowSQL, "pgflow-sql", "pgflow/node_modules/@pgflow/core/dist/supabase/migrations", "where pgflow's SQL lies")
	flags.StringVar(&p.temporal, "temporal", "", "the program that is built from the folder temporal; without it that contender is not there")
	flags.BoolVar(&asJSON, "json", false, "print JSON instead of tables")
	if err := flags.Parse(arguments); err != nil {
		return p, false, err
	}
	if flags.NArg() > 0 {
		return p, false, fmt.Errorf("%q is not expected; all is said with flags", flags.Args())
	}
	if p.contenders == nil {
		p.contenders = p.available()
	}
	return p, asJSON, p.validate()
}

// available are the contenders that can be measured here.
func (p plan) available() []string {
	names := contenders.Names()
	if p.temporal != "" {
		names = append(names, temporal)
	}
	return names
}

func (p plan) validate() error {
	for _, name := range p.contenders {
		if name == temporal && p.temporal == "" {
			return errors.New("-temporal must say where the program is that is built from the folder temporal")
		}
		if !slices.Contains(p.available(), name) {
			return fmt.Errorf("contender %q is none of %q", name, p.available())
		}
	}
	if p.rounds < 1 || p.duration <= 0 {
		return fmt.Errorf("%d rounds of %v; expected more than 0", p.rounds, p.duration)
	}
	return nil
}

func write(w io.Writer, r interface{ Write(w io.Writer) error }, asJSON bool) error {
	if !asJSON {
		return r.Write(w)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// list is a flag of several values.
type list[T string | int] []T

func (l *list[T]) String() string {
	var values []string
	for _, value := range *l {
		values = append(values, fmt.Sprint(value))
	}
	return strings.Join(values, ",")
}

func (l *list[T]) Set(text string) error {
	*l = nil
	for value := range strings.SplitSeq(text, ",") {
		var each T
		switch target := any(&each).(type) {
		case *string:
			*target = value
		case *int:
			number, err := strconv.Atoi(value)
			if err != nil || number < 1 {
				return fmt.Errorf("%q is no number above 0", value)
			}
			*target = number
		}
		*l = append(*l, each)
	}
	return nil
}
