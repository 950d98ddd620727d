package sqlite

import (
	"errors"
	"testing"

	"modernc.org/sqlite"

	"singularity/persistence"
	"singularity/workflow"
)

// refuseCommits makes every COMMIT of the writer fail.
func refuseCommits(t *testing.T, store *Store) {
	t.Helper()
	err := store.writer.conn.Raw(func(conn any) error {
		conn.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 { return 1 })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedCommitIsUnknownAndEndsTheTransaction(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	batch := []persistence.Write{persistence.Insert{
		Run: workflow.NewRunID(), Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: []byte(`{}`),
	}}

	refuseCommits(t, store)
	_, err = store.Commit(t.Context(), batch)
	if !errors.Is(err, workflow.ErrOutcomeUnknown) {
		t.Fatalf("commit: %v, want %v", err, workflow.ErrOutcomeUnknown)
	}
	if errors.Is(err, persistence.ErrBadWrite) || errors.Is(err, workflow.ErrUnavailable) {
		t.Errorf("commit: %v, which claims to know", err)
	}

	verdicts, err := store.Commit(t.Context(), batch) // on a new connection
	if err != nil || verdicts[0].Err != nil || verdicts[0].Existing != nil {
		t.Fatalf("commit again: %+v, %v; want the run inserted", verdicts, err)
	}
	if verdicts, err = store.Commit(t.Context(), batch); err != nil || verdicts[0].Existing == nil {
		t.Errorf("commit a third time: %+v, %v; want the run recognised", verdicts, err)
	}
}

func TestPanicInATransactionLeavesTheStoreUsable(t *testing.T) {
	t.Parallel()
	store, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	func() {
		defer func() { _ = recover() }()
		_ = store.writer.transaction(t.Context(), func(t *tx) error {
			if _, err := t.exec(upsertAgent, "desk", "go", "b", t.at, false); err != nil {
				return err
			}
			panic("in the middle")
		})
		t.Error("no panic")
	}()
	if agents, err := store.Agents(t.Context()); err != nil || len(agents) != 0 {
		t.Errorf("agents %+v, %v; want none", agents, err)
	}
	if err := store.Join(t.Context(), persistence.Boot{ID: "b"}); err != nil {
		t.Errorf("join afterwards: %v", err)
	}
}
