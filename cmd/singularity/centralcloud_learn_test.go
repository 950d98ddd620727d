package main

import (
	"strings"
	"testing"
)

func TestLearnAnswersOverStdio(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	in := strings.NewReader(`{"type":"hello","arms":[{"model":"m","provider":"p","usd_per_mtok_in":1,"usd_per_mtok_out":4}],"strong":"m","mode":"reference"}
{"type":"tick","now":0}
`)
	none := func(string) (string, bool) { return "", false }
	code := run(t.Context(), []string{"centralcloud", "learn", "--stdio"}, in, &stdout, &stderr, none)
	want := `{"version":1,"rows":[{"task_type":"*","complexity_bucket":-1,"weights":{"m":1}}],"state_hash":"`
	if code != 0 || !strings.HasPrefix(stdout.String(), want) {
		t.Errorf("exit %d, %s%s, want %s…", code, stdout.String(), stderr.String(), want)
	}
}

func TestLearnAsksForStdio(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"centralcloud", "learn"}, strings.NewReader(""), &stdout, &stderr, func(string) (string, bool) { return "", false })
	if code != exitUsage || !strings.Contains(stderr.String(), "give --stdio") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}
