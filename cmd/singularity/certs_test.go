package main

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"singularity/cluster/certs"
)

func TestCertsMakeACluster(t *testing.T) {
	t.Parallel()
	ca, node := filepath.Join(t.TempDir(), "ca"), filepath.Join(t.TempDir(), "node-1")

	got := call{args: []string{"certs", "init", "--ca-dir", ca, "--cluster", "prod"}}.run(t.Context())
	if got.code != exitDone || !strings.Contains(got.stdout, filepath.Join(ca, "ca.key")) || !strings.Contains(got.stderr, "certs node --ca-dir "+ca) {
		t.Errorf("init: %+v", got)
	}
	got = call{args: []string{"certs", "init", "--ca-dir", ca}}.run(t.Context())
	if got.code != exitRefused || !strings.Contains(got.stderr, "is there already") {
		t.Errorf("second init: %+v", got)
	}
	got = call{args: []string{"certs", "node", "--ca-dir", ca, "--out", node, "-o", "json", "node-1.internal", "10.0.0.5"}}.run(t.Context())
	var files []certFile
	if err := json.Unmarshal([]byte(got.stdout), &files); err != nil || got.code != exitDone || len(files) != 3 {
		t.Errorf("node: %+v, %v", got, err)
	}
	if !strings.Contains(got.stderr, "--tls-dir") {
		t.Errorf("node does not say what to do next: %q", got.stderr)
	}
	identity, err := certs.Load(node, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if identity.Cluster() != "prod" {
		t.Errorf("cluster %q", identity.Cluster())
	}
}

func TestCertsSayWhatTheyNeed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args     []string
		code     int
		expected string
	}{
		{[]string{"certs", "node"}, exitUsage, "expected HOST..."},
		{[]string{"certs", "node", "--ca-dir", t.TempDir(), "--out", t.TempDir(), "host"}, exitRefused, `"singularity certs init"`},
		{[]string{"certs", "init", "--ca-dir", t.TempDir(), "--cluster", "My Cluster"}, exitRefused, "a-z, 0-9 and -"},
	} {
		if got := (call{args: c.args}).run(t.Context()); got.code != c.code || !strings.Contains(got.stderr, c.expected) {
			t.Errorf("%v: %+v, expected %q", c.args, got, c.expected)
		}
	}
}
