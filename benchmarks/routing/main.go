// Routing replays recorded outcomes of models as a stream of requests, and
// compares the learner of CentralCloud with simpler ways to choose a model.
// Each of them hears only of the calls that it chose.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"

	"singularity/centralcloud"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "routing:", err)
		os.Exit(1)
	}
}

// plan is what to replay.
type plan struct {
	data      string
	write     string
	generated generated
	seeds     uint64
	mode      string
	scenario  string
	weight    float64
	asJSON    bool
}

func run(arguments []string, out io.Writer) error {
	var p plan
	flags := flag.NewFlagSet("routing", flag.ContinueOnError)
	flags.StringVar(&p.data, "data", "", "a folder with prices.csv and outcomes.csv (default: made up)")
	flags.StringVar(&p.write, "write", "", "write what is made up to this folder, and end")
	flags.IntVar(&p.generated.requests, "requests", 6000, "how many requests to make up")
	flags.IntVar(&p.generated.arms, "arms", 9, "how many models to make up")
	flags.IntVar(&p.generated.tasks, "tasks", 14, "how many task types to make up")
	flags.Uint64Var(&p.generated.seed, "seed", 1, "the first of the seeds")
	flags.Uint64Var(&p.seeds, "seeds", 20, "how many worlds to make up, or in how many orders to replay the data")
	flags.StringVar(&p.mode, "mode", "utility", "what the learner aims at: utility or reference")
	flags.StringVar(&p.scenario, "scenario", "", "one of "+strings.Join(names(), ", ")+" (default: all that the data allow)")
	flags.Float64Var(&p.weight, "cost-weight", 0.1, "the success that one call of the strong model is worth")
	flags.BoolVar(&p.asJSON, "json", false, "print JSON")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	p.generated.changed = true
	if p.generated.requests < 1000 || p.generated.arms < 2 || p.generated.tasks < 1 || p.seeds < 1 {
		return errors.New("expected -requests of at least 1000, -arms of at least 2, -tasks and -seeds of at least 1")
	}
	return p.run(out)
}

func (p plan) run(out io.Writer) error {
	if p.write != "" {
		return p.generated.dataset().write(p.write)
	}
	// What is made up is another world for each seed; data are the same one, in
	// another order.
	worlds := make([]*dataset, p.seeds)
	if p.data != "" {
		d, err := readDataset(p.data)
		if err != nil {
			return err
		}
		for i := range worlds {
			worlds[i] = d
		}
	} else {
		for i := range worlds {
			world := p.generated
			world.seed += uint64(i)
			worlds[i] = world.dataset()
		}
	}
	var tables []table
	for _, s := range scenarios {
		if p.scenario != "" && p.scenario != s.name || s.changed && worlds[0].requests[0].later == nil {
			continue
		}
		tables = append(tables, p.compare(worlds, s))
	}
	if len(tables) == 0 {
		return fmt.Errorf("scenario %q: expected one of %s; changed needs outcomes of phase 2", p.scenario, strings.Join(names(), ", "))
	}
	if p.asJSON {
		return json.NewEncoder(out).Encode(tables)
	}
	return printTables(out, tables)
}

func names() (all []string) {
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// table is the rows of one scenario.
type table struct {
	Scenario string `json:"scenario"`
	Rows     []line `json:"rows"`
}

type line struct {
	Router string  `json:"router"`
	Mean   result  `json:"mean"`
	SD     float64 `json:"regret_sd"`
	Alarms int     `json:"alarms"` // changes that the learner noticed, over all seeds
}

func (p plan) compare(worlds []*dataset, s scenario) table {
	t := table{Scenario: s.name}
	for _, name := range contenders {
		row := line{Router: name}
		var regrets []float64
		for i, d := range worlds {
			seed := p.generated.seed + uint64(i)
			st := newStream(d, s, seed, p.weight)
			r := newRouter(name, st, centralcloud.Mode(p.mode), seed)
			res := st.replay(r, seed)
			regrets = append(regrets, res.Regret)
			row.Mean.add(res, 1/float64(p.seeds))
			if l, ok := r.(*learning); ok {
				row.Alarms += len(l.alarms)
			}
		}
		row.SD = deviation(regrets)
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (r *result) add(other result, share float64) {
	r.Success += share * other.Success
	r.VsRef += share * other.VsRef
	r.Saved += share * other.Saved
	r.Regret += share * other.Regret
	r.Late += share * other.Late
	r.Errors += share * other.Errors
	r.Settled += int(math.Round(share * float64(other.Settled)))
}

func deviation(values []float64) float64 {
	var mean, sum float64
	for _, x := range values {
		mean += x / float64(len(values))
	}
	for _, x := range values {
		sum += (x - mean) * (x - mean)
	}
	return math.Sqrt(sum / float64(max(1, len(values)-1)))
}

func printTables(out io.Writer, tables []table) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, t := range tables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, strings.ToUpper(t.Scenario)+"\tSUCCESS\tOF STRONG\tSAVED\tREGRET/1,000\tSD\tSECOND HALF\tSETTLED\tMET AN ERROR\tALARMS")
		for _, row := range t.Rows {
			m := row.Mean
			fmt.Fprintf(w, "%s\t%.3f\t%.1f %%\t%.1f %%\t%.1f\t%.1f\t%.1f\t%d\t%.1f %%\t%d\n",
				row.Router, m.Success, 100*m.VsRef, 100*m.Saved, m.Regret, row.SD, m.Late, m.Settled, 100*m.Errors, row.Alarms)
		}
	}
	return w.Flush()
}
