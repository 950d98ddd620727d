package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/report"
)

// TestMain lets the program under test start itself as the process of a contender
// or of an engine.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == contender.Command || os.Args[1] == engineCommand) {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestFloorIsFourTransactionsAndAFailureStopsNobodyElse(t *testing.T) {
	t.Parallel()
	p := plan{
		contenders: []string{"pgflow", "commit", "floor"},
		rounds:     2,
		inFlight:   []int{1, 8},
		stateBytes: []int{150},
		duration:   200 * time.Millisecond,
		pgflowSQL:  t.TempDir(), // it is not there
	}
	var log bytes.Buffer
	r, err := measure(t.Context(), p, &log)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Failures) != 2 || !strings.Contains(r.Failures[0], "npm ci") {
		t.Errorf("failures %q, want those of pgflow", r.Failures)
	}
	if len(r.Rows) != 4 || !strings.Contains(r.Postgres, "fsync on, synchronous_commit on") || !strings.Contains(log.String(), "round 2 of 2, 150 bytes: floor") {
		t.Fatalf("report %+v, log %s", r, log.String())
	}
	transactions := map[string]float64{"commit": 1, "floor": 4}
	for _, row := range r.Rows {
		want := transactions[row.Contender]
		if math.Round(row.Commits) != want || row.Statements != want {
			t.Errorf("%s: %v commits and %v statements a workflow, want %v", row.Contender, row.Commits, row.Statements, want)
		}
		if row.Samples != 2 || row.P50 <= 0 || row.P99 < row.P50 || row.PerSecond <= 0 || row.P50Ratio <= 0 || row.WALBytes < 150 {
			t.Errorf("implausible row %+v", row)
		}
		if row.ClientMiB < 1 || row.ServerMiB < 1 || row.ServerCPU <= 0 {
			t.Errorf("nothing was used: %+v", row)
		}
	}
}

func TestPlanThatCannotBeCarriedOutIsRefused(t *testing.T) {
	t.Parallel()
	for want, arguments := range map[string][]string{
		`"nobody" is none of`:    {"-contenders", "floor,nobody"},
		"-temporal must say":     {"-contenders", "temporal"},
		`"0" is no number above`: {"-in-flight", "1,0"},
		`"many" is no number`:    {"-state-bytes", "many"},
		`["floor"] is not exp`:   {"floor"},
		"not defined: -workflow": {"-workflow", "1"},
		"0 rounds of 3s":         {"-rounds", "0"},
		"needs a contender":      {contender.Command},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			var err error
			if arguments[0] == contender.Command {
				err = contend(t.Context(), arguments[1:])
			} else {
				err = compare(t.Context(), arguments)
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q in it", err, want)
			}
		})
	}
}

func TestJSONHasWhatTheTableHas(t *testing.T) {
	t.Parallel()
	want := report.Report{Rounds: 3, Rows: []report.Row{{Cell: report.Cell{Contender: "floor", StateBytes: 150, InFlight: 8}, P50: 1.5}}}
	var asJSON, asTable bytes.Buffer
	if err := write(&asJSON, want, true); err != nil {
		t.Fatal(err)
	}
	if err := write(&asTable, want, false); err != nil {
		t.Fatal(err)
	}
	var got report.Report
	if err := json.Unmarshal(asJSON.Bytes(), &got); err != nil || len(got.Rows) != 1 || got.Rows[0] != want.Rows[0] {
		t.Errorf("got %+v, %v", got, err)
	}
	if !strings.Contains(asTable.String(), "| floor     | 1.50 ") {
		t.Errorf("got %s", asTable.String())
	}
}
