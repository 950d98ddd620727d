package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"singularity/centralcloud"
)

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := run([]string{"-write", dir, "-requests", "1000", "-arms", "3", "-tasks", "2", "-seed", "5"}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	d, err := readDataset(dir)
	if err != nil {
		t.Fatal(err)
	}
	made := generated{requests: 1000, arms: 3, tasks: 2, seed: 5, changed: true}.dataset()
	if len(d.requests) != 1000 || len(d.prices) != 3 || d.requests[7].later[2] != made.requests[7].later[2] || d.prices[1].Arm != made.prices[1].Arm {
		t.Errorf("%d requests, %d prices, request 7 is %+v, was %+v", len(d.requests), len(d.prices), d.requests[7], made.requests[7])
	}
}

func TestWrongDataAreNamed(t *testing.T) {
	t.Parallel()
	const header = "request,task_type,complexity_bucket,model,tokens_in,tokens_out,latency_ms,success\n"
	for outcomes, want := range map[string]string{
		"a,b\n":                           "expected the header",
		header:                            "there are no requests",
		header + "1,math,0,m,9,9,9,yes\n": `line 2: success: "yes" is no whole number`,
		header + "1,math,0,x,9,9,9,1\n":   `line 2: model "x" has no price`,
		header + "1,math,0,m,9,9,9,1\n":   "request 1: model n has no outcome in phase 1",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "prices.csv"), "model,provider,usd_per_mtok_in,usd_per_mtok_out\nm,p,1,2\nn,p,1,2\n")
		write(t, filepath.Join(dir, "outcomes.csv"), outcomes)
		if _, err := readDataset(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", outcomes, err, want)
		}
	}
}

func TestPricesAreReadWhateverElseIsInTheirFile(t *testing.T) {
	t.Parallel()
	prices, err := readPrices(strings.NewReader("provider,model,usd_per_mtok_in,usd_per_mtok_out,max_input_tokens\np,small,0.0625,0.3,8192\nq,large,1.25,5,\n"))
	if err != nil || len(prices) != 2 || prices[0].In != 62_500 || prices[0].Out != 300_000 || prices[1].String() != "q/large" {
		t.Errorf("%+v, %v", prices, err)
	}
}

func TestWrongPricesAreNamed(t *testing.T) {
	t.Parallel()
	const header = "model,provider,usd_per_mtok_in,usd_per_mtok_out\n"
	for document, want := range map[string]string{
		"model,provider,usd_per_mtok_in\n": "the header has no column usd_per_mtok_out",
		header + "m,p,1,x\n":               `line 2: usd_per_mtok_out: "x" is no number`,
		header + "m,p,1,1\n,p,-1,1\n":      "entry 2 (p/): usd_per_mtok_in: is -1; expected dollars",
		header + ",p,1,1\n":                "entry 1 (p/): model: is missing",
		header + "m,p,NaN,1\n":             "usd_per_mtok_in: is NaN",
		header + "m,p,1,2000000.5\n":       "usd_per_mtok_out: is 2.0000005e+06",
	} {
		if _, err := readPrices(strings.NewReader(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", document, err, want)
		}
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheSameSeedGivesTheSameFigures(t *testing.T) {
	t.Parallel()
	arguments := []string{"-requests", "1500", "-arms", "4", "-tasks", "3", "-seeds", "2", "-scenario", "adverse", "-json"}
	var first, second bytes.Buffer
	if err := run(arguments, &first); err != nil {
		t.Fatal(err)
	}
	if err := run(arguments, &second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Errorf("first %s\nthen  %s", first.String(), second.String())
	}
	var tables []table
	if err := json.Unmarshal(first.Bytes(), &tables); err != nil {
		t.Fatal(err)
	}
	regret := map[string]float64{}
	for _, row := range tables[0].Rows {
		regret[row.Router] = row.Mean.Regret
	}
	if regret["best in hindsight"] > 0.001 || regret["learner"] >= regret["random"] {
		t.Errorf("regrets are %v", regret)
	}
}

func TestErrorsAreCountedDuringAnOutage(t *testing.T) {
	t.Parallel()
	d := generated{requests: 1500, arms: 4, tasks: 3, seed: 3}.dataset()
	for _, s := range scenarios[:4] {
		st := newStream(d, s, 1, 0.1)
		res := st.replay(newRouter("learner", st, centralcloud.Utility, 1), 1)
		if s.outage != (res.Errors > 0) {
			t.Errorf("%s: a share of %v met an error", s.name, res.Errors)
		}
	}
}
