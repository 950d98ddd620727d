package main

import (
	"strings"
	"testing"
	"time"

	"singularity/internal/testclock"
)

const hardRequest = `{"request_id":"r1","task_type":"math","messages":[{"role":"user","content":"How much is 6 times 7?"}]}`

// A call of the large simulated model costs a tenth of a cent at most here, one
// of the medium model a fifth of that, one of the small model a twentieth.
func TestSpendingLimitsHold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags []string
		want  string // in the output, or the error
		code  int
	}{
		"enough for a run":     {[]string{"--spend-per-run", "0.01"}, `"model":"simulated-large"`, exitDone},
		"less for a run":       {[]string{"--spend-per-run", "0.0005"}, `"model":"simulated-medium"`, exitDone},
		"less for a day":       {[]string{"--spend-per-day", "0.0001"}, `"model":"simulated-small"`, exitDone},
		"too little for a day": {[]string{"--spend-per-day", "0.00001"}, "the spending limit of a day is $0.00001: $0 are spent", exitRefused},
		"too little for a key": {[]string{"--spend-per-key", "simulated=0.00001"}, "the spending limit of the key of simulated for a day is $0.00001", exitRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := startDev(t, nil, append([]string{"--ephemeral", "--max-answer-tokens", "100"}, test.flags...)...)
			got := at(node.URL, "run", "start", "llm_request", "--wait", "-o", "json", "--input", hardRequest).run(t.Context())
			if got.code != test.code || !strings.Contains(got.stdout+got.stderr, test.want) {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
}

// What is spent outlives the node.
func TestSpendingIsKept(t *testing.T) {
	t.Parallel()
	testclock.AwayFromMidnight(t, time.Now())
	dir := t.TempDir()
	flags := []string{"--data-dir", dir, "--max-answer-tokens", "100", "--spend-per-day"}
	ask := func(id, limit string) result {
		node := startDev(t, nil, append(flags, limit)...)
		defer func() {
			node.stop()
			<-node.results
		}()
		return at(node.URL, "run", "start", "llm_request", "--wait", "-o", "json", "--input", strings.Replace(hardRequest, "r1", id, 1)).run(t.Context())
	}
	if got := ask("first", "1"); got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
	got := ask("second", "0.00007") // enough for the small model, but for the first call
	if got.code != exitRefused || !strings.Contains(got.stderr, "the spending limit of a day is $0.00007") || strings.Contains(got.stderr, ": $0 are spent") {
		t.Errorf("got %+v, want that the first call counts", got)
	}
}

func TestBadModelFlagsAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ flag, value, want string }{
		{"--spend-per-run", "much", "expected US dollars"},
		{"--spend-per-run", "0", "is no limit"},
		{"--fallback-price", "0", "1 at least"},
		{"--spend-per-day", "-1", "expected US dollars"},
		{"--spend-per-key", "5", "expected a provider and US dollars"},
		{"--spend-per-key", "openai=", "expected US dollars"},
		{"--spend-per-key", "openai=5", "that provider is not configured"},
		{"--call-timeout", "11m", "10m0s at most"},
		{"--gap-timeout", "-1s", "--gap-timeout -1s"},
		{"--max-answer-tokens", "-1", "expected a positive number"},
	} {
		got := call{args: []string{"dev", "--ephemeral", test.flag, test.value}}.run(withTimeout(t))
		if got.code == exitDone || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%s %s: got %+v, want %q", test.flag, test.value, got, test.want)
		}
	}
}
