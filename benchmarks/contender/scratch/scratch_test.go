package scratch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"singularity/benchmarks/contender/scratch"
)

// open makes a folder that the account which runs Postgres can reach.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestServerIsDurableTakesSettingsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := open(t)
	server, err := scratch.Start(t.Context(), scratch.Config{Dir: dir, Settings: map[string]string{"max_connections": "77"}})
	if err != nil {
		t.Fatal(err)
	}
	const settings = `SELECT concat_ws(' ', current_setting('fsync'), current_setting('synchronous_commit'), current_setting('max_connections'))`
	got, err := exec.CommandContext(t.Context(), "psql", "-X", "-t", "-A", "-c", settings, server.URL("postgres")).CombinedOutput()
	if err != nil || strings.TrimSpace(string(got)) != "on on 77" {
		t.Errorf("settings %q, %v", got, err)
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestServerThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	dir := open(t)
	_, err := scratch.Start(t.Context(), scratch.Config{Dir: dir, Settings: map[string]string{"max_connections": "none"}})
	if err == nil || !strings.Contains(err.Error(), "max_connections") {
		t.Errorf("error %v, want what Postgres wrote", err)
	}
	if _, err := scratch.Start(t.Context(), scratch.Config{Bin: dir}); err == nil || !strings.Contains(err.Error(), "postgresql") {
		t.Errorf("error %v, want the package that brings Postgres", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
