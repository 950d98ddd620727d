package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"singularity/server"
	"singularity/server/servertest"
	"singularity/workflow"
)

// consult runs the doctor with an address that is free, unless args say
// otherwise.
func consult(t *testing.T, args ...string) (code int, findings map[string]finding, stderr string) {
	t.Helper()
	args = append([]string{"doctor", "-o", "json", "--http", "127.0.0.1:0"}, args...)
	got := call{args: args}.run(t.Context())
	var list []finding
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil {
		t.Fatalf("got %+v: %v", got, err)
	}
	findings = map[string]finding{}
	for _, found := range list {
		findings[found.Check] = found
	}
	return got.code, findings, got.stderr
}

func TestDoctorFindsNothingBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	code, findings, stderr := consult(t, "--data-dir", dir)
	if code != exitDone || stderr != "" || len(findings) != 5 {
		t.Errorf("got exit code %d, %v, stderr %q", code, findings, stderr)
	}
	if _, err := os.Stat(filepath.Dir(dir)); err == nil {
		t.Error("the doctor made the directory")
	}
}

func TestDoctorLooksAtARunningNodeAndAtWhatItLeft(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := startProcess(t, "--data-dir", dir)
	code, findings, stderr := consult(t, "--data-dir", dir, "--http", strings.TrimPrefix(p.URL, "http://"))
	if code != exitDone {
		t.Errorf("got exit code %d, stderr %q", code, stderr)
	}
	if got := findings["database"].Detail; !strings.Contains(got, "the newest") || !strings.Contains(got, "process "+strings.TrimSpace(readFile(t, filepath.Join(dir, "singularity.pid")))) {
		t.Errorf("got database %q, want its schema and the process", got)
	}
	if got := findings["address"].Detail; !strings.Contains(got, "a node answers") {
		t.Errorf("got address %q, want the node", got)
	}

	p.signal(t, os.Interrupt)
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	code, findings, _ = consult(t, "--data-dir", dir)
	if got := findings["database"].Detail; code != exitDone || !strings.Contains(got, "no process") {
		t.Errorf("after its end got exit code %d, database %q", code, got)
	}
	if after := names(t, dir); after != before {
		t.Errorf("the doctor left %s where %s was", after, before)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return strings.Join(all, " ")
}

func TestDoctorNamesEachFault(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file", "")
	write("garbage/singularity.db", strings.Repeat("not a database ", 1000))
	future := write("future/singularity.pid", "1\n")
	if err := os.Chtimes(future, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	draining := httptest.NewServer(server.Handler(&servertest.Engine{NotReady: workflow.ErrDraining}, server.Config{}))
	t.Cleanup(draining.Close)

	tests := []struct {
		name  string
		args  []string
		check string
		want  string
	}{
		{"data directory is a file", []string{"--data-dir", file}, "data directory", "not a directory"},
		{"data directory below a file", []string{"--data-dir", filepath.Join(file, "below")}, "data directory", file},
		{"database is garbage", []string{"--data-dir", filepath.Join(dir, "garbage")}, "database", "cannot be read"},
		{"address in use", []string{"--http", strings.TrimPrefix(other.URL, "http://")}, "address", "not by a node"},
		{"node is not ready", []string{"--http", strings.TrimPrefix(draining.URL, "http://")}, "address", "draining"},
		{"address is not loopback", []string{"--http", "0.0.0.0:0"}, "address", "loopback"},
		{"provider without a key", []string{"--provider", "openai"}, "provider", "OPENAI_API_KEY"},
		{"no table of models", []string{"--models", filepath.Join(dir, "none.json")}, "provider", "none.json"},
		{"clock goes backwards", []string{"--data-dir", filepath.Join(dir, "future")}, "clock", "set the clock"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--data-dir", filepath.Join(dir, "none")}, test.args...)
			code, findings, stderr := consult(t, args...)
			if code != exitRefused || !strings.Contains(stderr, test.check+": ") {
				t.Errorf("got exit code %d, stderr %q; want 1 and %q named", code, stderr, test.check)
			}
			if found := findings[test.check]; found.OK || !strings.Contains(found.Detail, test.want) {
				t.Errorf("got %+v, want a fault with %q", found, test.want)
			}
		})
	}
}

// raiseSchema makes a database look as if a newer program had been there.
func raiseSchema(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "INSERT INTO schema_migrations (version_id, is_applied) VALUES (9999, 1)")
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestDoctorNoticesANewerSchema(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := startProcess(t, "--data-dir", dir)
	p.signal(t, os.Interrupt)
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	raiseSchema(t, filepath.Join(dir, "singularity.db"))
	code, findings, _ := consult(t, "--data-dir", dir)
	if got := findings["database"].Detail; code != exitRefused || !strings.Contains(got, "newer program") {
		t.Errorf("got exit code %d, database %q", code, got)
	}
}

func TestDoctorNeverShowsAKey(t *testing.T) {
	t.Parallel()
	got := call{
		args: []string{"doctor", "--http", "127.0.0.1:0", "--data-dir", t.TempDir()},
		env:  map[string]string{"OPENAI_API_KEY": "sk-canary", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"},
	}.run(t.Context())
	if got.code != exitDone || strings.Contains(got.stdout+got.stderr, "canary") || !strings.Contains(got.stdout, "OPENAI_API_KEY is set") {
		t.Errorf("got %+v", got)
	}
}
