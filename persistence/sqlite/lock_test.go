package sqlite_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"singularity/persistence"
	"singularity/persistence/sqlite"
)

// refused checks that the directory cannot be opened because pid has it.
func refused(t *testing.T, dir string, pid int) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err == nil {
		_ = store.Close()
		t.Fatal("a second opener got the store")
	}
	if !errors.Is(err, persistence.ErrLocked) {
		t.Fatalf("second opener: %v, want %v", err, persistence.ErrLocked)
	}
	for _, want := range []string{dir, "process " + strconv.Itoa(pid), "stop that process"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := openIn(t, dir)
	refused(t, dir, os.Getpid())
	insert(t, store, "", 1) // the first one is not disturbed
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
}

func TestSecondProcessIsRefusedUntilTheFirstIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := spawn(t, "hold", dir)
	refused(t, dir, first.Process.Pid)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	openIn(t, dir)
}
