package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"singularity/centralcloud/sqlite"
)

func TestDatabaseIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	store := open(t, filepath.Join(t.TempDir(), "new"))
	if err := store.CreateQueue(t.Context(), "jobs"); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(store.dir)
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %s, want it for its owner alone", file.Name(), mode)
		}
	}
}

func TestOpenRefusesADatabaseThatIsNewer(t *testing.T) {
	t.Parallel()
	store := open(t, t.TempDir())
	_, err := raw(t, store).ExecContext(t.Context(), `INSERT INTO schema_migrations (version_id, is_applied) VALUES (999, 1)`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), store.dir); !errors.Is(err, sqlite.ErrNewer) {
		t.Errorf("open: %v, want %v", err, sqlite.ErrNewer)
	}
}

func TestOpenSaysWhichDirectoryIsWrong(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), file)
	if _, ok := errors.AsType[*fs.PathError](err); !ok || !strings.Contains(err.Error(), file) {
		t.Errorf("open: %v, want it to name %s", err, file)
	}
}
