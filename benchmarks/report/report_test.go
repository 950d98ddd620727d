package report_test

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"singularity/benchmarks/contender"
	"singularity/benchmarks/meter"
	"singularity/benchmarks/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample took so many milliseconds for each workflow, one after the other
// in as many lanes as there are in flight.
func sample(name string, inFlight, round int, took ...int) report.Sample {
	s := report.Sample{Cell: report.Cell{Contender: name, StateBytes: 150, InFlight: inFlight}, Round: round}
	var total time.Duration
	for _, ms := range took {
		each := time.Duration(ms) * time.Millisecond
		s.Answer.Took = append(s.Answer.Took, each)
		total += each
	}
	s.Answer.Elapsed = total / time.Duration(inFlight)
	n := int64(len(took))
	s.Usage = meter.Usage{
		Statements: 7 * n, Commits: 4 * n, WALBytes: 1600 * n,
		ClientCPU: time.Duration(n) * time.Millisecond, ServerCPU: time.Duration(2*n) * time.Millisecond,
		ClientBytes: 10 << 20, ServerBytes: 20 << 20,
	}
	return s
}

func samples() []report.Sample {
	noisy := sample("slow", 1, 2, 40, 40)
	noisy.Usage.OtherCores = 0.2
	return []report.Sample{
		sample("floor", 1, 0, 1, 1, 2), sample("floor", 1, 1, 2, 2, 2), sample("floor", 1, 2, 4, 4),
		sample("singularity", 1, 0, 2, 2), sample("singularity", 1, 1, 3, 3), sample("singularity", 1, 2, 4, 4),
		sample("slow", 1, 0, 40, 40), sample("slow", 1, 1, 40, 41), noisy,
		sample("fast", 1, 0, 10), sample("fast", 1, 1, 12), sample("fast", 1, 2, 9),
		sample("floor", 8, 0, 4, 4, 4, 4), sample("singularity", 8, 0, 2, 2, 2, 2),
		sample("slow", 8, 0, 4, 4, 4), sample("fast", 8, 0, 8, 8, 8),
	}
}

func TestRowsAreMediansOfTheRounds(t *testing.T) {
	t.Parallel()
	rows := report.Rows(samples(), "floor")
	ours := rows[1]
	if ours.Contender != "singularity" || ours.Samples != 3 || ours.Workflows != 6 || ours.P50 != 3 || ours.P50Range != (report.Range{2, 4}) {
		t.Errorf("row %+v", ours)
	}
	// Against the floor of the same round: 2/1, 3/2 and 4/4.
	if ours.P50Ratio != 1.5 {
		t.Errorf("ratio %v, want 1.5", ours.P50Ratio)
	}
	if ours.Statements != 7 || ours.Commits != 4 || ours.WALBytes != 1600 || ours.ClientCPU != 1 || ours.ServerCPU != 2 || ours.ClientMiB != 10 {
		t.Errorf("costs are not per workflow: %+v", ours)
	}
}

func TestBestPeerIsTheQuickestAloneAndTheOneThatDoesMostInFlight(t *testing.T) {
	t.Parallel()
	bests := report.Bests(report.Rows(samples(), "floor"), "singularity", "floor")
	want := []report.Best{
		{StateBytes: 150, InFlight: 1, Peer: "fast", FloorRatio: 1.5, PeerRatio: 0.3},
		{StateBytes: 150, InFlight: 8, Peer: "slow", FloorRatio: 2, PeerRatio: 2},
	}
	if len(bests) != 2 || bests[0] != want[0] || bests[1] != want[1] {
		t.Errorf("bests %+v, want %+v", bests, want)
	}
}

func TestReportReadsAsATable(t *testing.T) {
	t.Parallel()
	busy := samples()
	for i := range busy {
		if busy[i].Contender == "fast" {
			busy[i].Usage.OtherCores = 0.5
		}
	}
	r := report.Report{
		At:       time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC),
		Machine:  "2 cores",
		Postgres: "Postgres 15",
		Rounds:   3,
		Seconds:  5,
		Contenders: []report.Contender{
			{Name: "floor", Description: contender.Description{Version: "pgx 5", Settings: "4 transactions"}},
			{Name: "slow", Description: contender.Description{Version: "1.2", Settings: "defaults"}},
		},
		Rows:     report.Rows(busy, "floor"),
		Bests:    report.Bests(report.Rows(busy, "floor"), "singularity", "floor"),
		Failures: []string{"broken, 150 bytes, round 1: warm up: worker: gone"},
	}
	var got bytes.Buffer
	if err := r.Write(&got); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/report.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", got.Bytes(), want)
	}
}
