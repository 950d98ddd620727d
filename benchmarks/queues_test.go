package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"singularity/benchmarks/report"
)

func TestQueuesAreComparedInProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	var output bytes.Buffer
	arguments := strings.Fields("-engines singularity,floor -rounds 2 -jobs 200 -workers 8 -duration 500ms -json")
	if err := compareQueues(t.Context(), arguments, &output); err != nil {
		t.Fatal(err)
	}
	var r report.Queues
	if err := json.Unmarshal(output.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Failures) > 0 || len(r.Rows) != 2 || r.Rows[0].Engine != "singularity" || r.Rows[1].Engine != "floor" {
		t.Fatalf("got %s, want a row of each engine as they were asked for", output.String())
	}
	for _, row := range r.Rows {
		if row.Enqueue.Median <= 0 || row.Drain.ByFloor <= 0 || row.Start.Count < 4 || row.Gap.Count == 0 || row.Gap.P50.Median > row.Gap.Most {
			t.Errorf("implausible row %+v", row)
		}
	}
}

func TestQueuesThatCannotBeComparedAreRefused(t *testing.T) {
	t.Parallel()
	for want, arguments := range map[string]string{
		`"nobody" is none of`: "-engines nobody",
		"0 jobs":              "-jobs 0",
		`["floor"] is not ex`: "floor",
	} {
		if err := compareQueues(t.Context(), strings.Fields(arguments), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", arguments, err, want)
		}
	}
	if err := measureEngine(t.Context(), []string{"-name", "nobody"}, nil); err == nil {
		t.Error("an engine that is not there was measured")
	}
}
