package sqlite_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"singularity/persistence"
	"singularity/workflow"
)

// contents sums up the files of a database.
func contents(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	sums := map[string][32]byte{}
	for _, name := range []string{"singularity.db", "singularity.db-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sums[name] = sha256.Sum256(content)
	}
	return sums
}

func TestSweepsOfAnIdleNodeWriteNothing(t *testing.T) {
	t.Parallel()
	store := openIn(t, t.TempDir())
	boot := persistence.Boot{ID: "b", Instance: "a"}
	if err := store.Join(t.Context(), boot); err != nil {
		t.Fatal(err)
	}
	insert(t, store, boot.ID, 3)
	insert(t, store, "", 3)
	before := contents(t, store.dir)
	for range 3 {
		if _, err := store.Backlog(t.Context(), []persistence.Definition{{Workflow: "order", Version: 1}}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Owned(t.Context(), boot.ID); err != nil {
			t.Fatal(err)
		}
		if done, err := store.Reassign(t.Context(), 100); err != nil || done != (persistence.Reassigned{}) {
			t.Fatalf("reassigned %+v, %v", done, err)
		}
		if found, err := store.Expired(t.Context(), persistence.RetentionPolicy{}); err != nil || found.Due() {
			t.Fatalf("expired: %+v, %v", found, err)
		}
		if deleted, err := store.Prune(t.Context(), persistence.RetentionPolicy{}, 100); err != nil || deleted != (persistence.Pruned{}) {
			t.Fatalf("pruned %+v, %v", deleted, err)
		}
		if _, err := store.Runs(t.Context(), workflow.Filter{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, sum := range contents(t, store.dir) {
		if sum != before[name] {
			t.Errorf("%s was written", name)
		}
	}
}
