package sqlite_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/sqlite"
	"singularity/workflow"
)

func openWithPages(t *testing.T, dir string, pages int) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, MaxPages: pages})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func TestFullDiskRefusesWholeBatchesAndRecovers(t *testing.T) {
	t.Parallel()
	const batchSize = 4
	dir := t.TempDir()
	store := openWithPages(t, dir, 300)
	boot := persistence.Boot{ID: "b", Instance: "a"}
	if err := store.Join(t.Context(), boot); err != nil {
		t.Fatal(err)
	}
	running := insert(t, store, boot.ID, 1)[0]
	advance := step(persistence.Fence{Run: running, Boot: boot.ID, Epoch: 1}, bytes.Repeat([]byte("s"), 100_000))

	var stored [][]workflow.RunID
	var refused []workflow.RunID
	var err error
	for err == nil {
		batch, ids := largeRuns(batchSize)
		if _, err = store.Commit(t.Context(), batch); err == nil {
			stored = append(stored, ids)
		} else {
			refused = ids
		}
	}
	unavailable(t, err)
	if len(stored) < 5 {
		t.Fatalf("full after %d batches: the bound is too low to show anything", len(stored))
	}
	for _, id := range refused {
		if _, err := store.Run(t.Context(), id); !errors.Is(err, workflow.ErrRunNotFound) {
			t.Errorf("run %s of the refused batch: %v, want %v", id, err, workflow.ErrRunNotFound)
		}
	}
	for _, id := range append(stored[0], stored[len(stored)-1]...) {
		if run, err := store.Run(t.Context(), id); err != nil || len(run.Input) != largeInput {
			t.Errorf("run %s, stored before: %v, %d bytes of input", id, err, len(run.Input))
		}
	}
	_, err = store.Commit(t.Context(), []persistence.Write{advance})
	unavailable(t, err)
	if run, err := store.Run(t.Context(), running); err != nil || run.Step != "reserve" {
		t.Errorf("run at %s, %v; want it where it was", run.Step, err)
	}

	// What expires makes room, without opening the store again.
	for _, id := range slices.Concat(stored[0], stored[1]) {
		if _, err := store.Commit(t.Context(), []persistence.Write{persistence.Cancel{Run: id}}); err != nil {
			t.Fatalf("cancel: %v", err)
		}
	}
	policy := persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: -time.Hour}}
	if deleted, err := store.Prune(t.Context(), policy, 100); err != nil || deleted.Runs != 2*batchSize {
		t.Fatalf("prune: %+v, %v", deleted, err)
	}
	if _, err := store.Commit(t.Context(), []persistence.Write{advance}); err != nil {
		t.Errorf("advance after making room: %v", err)
	}

	// So does a higher bound.
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = openWithPages(t, dir, 3000)
	batch, _ := largeRuns(batchSize)
	if _, err := store.Commit(t.Context(), batch); err != nil {
		t.Errorf("insert under a higher bound: %v", err)
	}
}

const largeInput = 20_000

func largeRuns(count int) (batch []persistence.Write, ids []workflow.RunID) {
	for range count {
		id := workflow.NewRunID()
		ids = append(ids, id)
		batch = append(batch, persistence.Insert{
			Run: id, Workflow: "order", Version: 1, Step: "reserve", Queue: "default",
			Input: bytes.Repeat([]byte("i"), largeInput),
		})
	}
	return batch, ids
}

// unavailable checks that an error says that it may pass, and what to do.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, workflow.ErrUnavailable) || !strings.Contains(err.Error(), "free disk space") {
		t.Fatalf("on a full disk: %v, want %v and what to do", err, workflow.ErrUnavailable)
	}
	if errors.Is(err, workflow.ErrOutcomeUnknown) || errors.Is(err, persistence.ErrBadWrite) {
		t.Errorf("on a full disk: %v, which claims too much", err)
	}
}
