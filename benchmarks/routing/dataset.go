package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"singularity/centralcloud/learner"
)

// outcome is what one model made of one request.
type outcome struct {
	in, out int64 // tokens
	millis  int64
	success bool
}

// request is one of a recorded stream.
type request struct {
	id     string
	task   string
	bucket int
	// outcomes are by arm. Later ones hold from the middle of the stream on,
	// where models changed silently; it is nil where they did not.
	outcomes []outcome
	later    []outcome
}

// dataset is what a stream is drawn from.
type dataset struct {
	prices   []learner.Price // of the arms
	requests []request
}

// The columns of outcomes.csv. The last may be missing.
var columns = []string{"request", "task_type", "complexity_bucket", "model", "tokens_in", "tokens_out", "latency_ms", "success", "phase"}

// readDataset reads prices.csv and outcomes.csv from a folder.
func readDataset(dir string) (*dataset, error) {
	document, err := os.ReadFile(filepath.Join(dir, "prices.csv"))
	if err != nil {
		return nil, fmt.Errorf("read the data: %w", err)
	}
	prices, err := readPrices(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("read the data: prices.csv: %w", err)
	}
	file, err := os.Open(filepath.Join(dir, "outcomes.csv"))
	if err != nil {
		return nil, fmt.Errorf("read the data: %w", err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the data: outcomes.csv: %w", err)
	}
	d := &dataset{prices: prices}
	if err := d.fill(records); err != nil {
		return nil, fmt.Errorf("read the data: outcomes.csv: %w", err)
	}
	return d, nil
}

func (d *dataset) fill(records [][]string) error {
	if len(records) == 0 || !slices.Equal(records[0], columns) && !slices.Equal(records[0], columns[:len(columns)-1]) {
		return fmt.Errorf("expected the header %v", columns)
	}
	index := map[string]int{}
	seen := map[[3]string]bool{}
	for n, record := range records[1:] {
		line := n + 2
		numbers := map[string]int64{"phase": 1}
		for i, name := range records[0] {
			if name == "request" || name == "task_type" || name == "model" {
				continue
			}
			value, err := strconv.ParseInt(record[i], 10, 64)
			if err != nil || value < 0 {
				return fmt.Errorf("line %d: %s: %q is no whole number", line, name, record[i])
			}
			numbers[name] = value
		}
		arm := slices.IndexFunc(d.prices, func(p learner.Price) bool { return p.Model == record[3] })
		if arm < 0 {
			return fmt.Errorf("line %d: model %q has no price", line, record[3])
		}
		i, known := index[record[0]]
		if !known {
			i = len(d.requests)
			index[record[0]] = i
			d.requests = append(d.requests, request{
				id: record[0], task: record[1], bucket: int(numbers["complexity_bucket"]), outcomes: make([]outcome, len(d.prices)),
			})
		}
		r := &d.requests[i]
		into := r.outcomes
		switch numbers["phase"] {
		case 1:
		case 2:
			if r.later == nil {
				r.later = make([]outcome, len(d.prices))
			}
			into = r.later
		default:
			return fmt.Errorf("line %d: phase: %d is neither 1 nor 2", line, numbers["phase"])
		}
		into[arm] = outcome{numbers["tokens_in"], numbers["tokens_out"], numbers["latency_ms"], numbers["success"] > 0}
		seen[[3]string{record[0], record[3], strconv.FormatInt(numbers["phase"], 10)}] = true
	}
	return d.complete(seen)
}

// complete checks that every model answered every request, in each phase.
func (d *dataset) complete(seen map[[3]string]bool) error {
	if len(d.requests) == 0 {
		return errors.New("there are no requests")
	}
	for _, r := range d.requests {
		for _, p := range d.prices {
			for _, phase := range []string{"1", "2"} {
				if (phase == "1" || r.later != nil) && !seen[[3]string{r.id, p.Model, phase}] {
					return fmt.Errorf("request %s: model %s has no outcome in phase %s", r.id, p.Model, phase)
				}
			}
		}
	}
	return nil
}

// write writes what readDataset reads.
func (d *dataset) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	prices := [][]string{{"model", "provider", "usd_per_mtok_in", "usd_per_mtok_out"}}
	for _, p := range d.prices {
		prices = append(prices, []string{p.Model, p.Provider, dollars(p.In), dollars(p.Out)})
	}
	records := [][]string{columns}
	for _, r := range d.requests {
		for phase, outcomes := range [][]outcome{r.outcomes, r.later} {
			for a, o := range outcomes {
				success := "0"
				if o.success {
					success = "1"
				}
				records = append(records, []string{
					r.id, r.task, strconv.Itoa(r.bucket), d.prices[a].Model,
					strconv.FormatInt(o.in, 10), strconv.FormatInt(o.out, 10), strconv.FormatInt(o.millis, 10), success, strconv.Itoa(phase + 1),
				})
			}
		}
	}
	return errors.Join(writeCSV(filepath.Join(dir, "prices.csv"), prices), writeCSV(filepath.Join(dir, "outcomes.csv"), records))
}

func dollars(micros int64) string { return strconv.FormatFloat(float64(micros)/1e6, 'f', -1, 64) }

func writeCSV(name string, records [][]string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(csv.NewWriter(file).WriteAll(records), file.Close())
}
