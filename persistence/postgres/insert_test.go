package postgres_test

import (
	"errors"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

func TestRunOfACallersTransactionComesWithItsCommit(t *testing.T) {
	t.Parallel()
	store := open(t)
	listener := store.outside(t)
	if _, err := listener.Exec(t.Context(), `LISTEN singularity_wake`); err != nil {
		t.Fatal(err)
	}
	now, later, dropped := draft(), draft(), draft()
	now.Queue, later.Queue, later.Due = "a", "b", time.Now().Add(time.Hour)
	conn := store.outside(t)

	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if verdict, err := store.InsertTx(t.Context(), tx, dropped); err != nil || verdict.Err != nil {
		t.Fatalf("insert: %+v, %v", verdict, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}

	if tx, err = conn.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, insert := range []persistence.Insert{now, later} {
		if verdict, err := store.InsertTx(t.Context(), tx, insert); err != nil || verdict.Err != nil || verdict.Existing != nil {
			t.Fatalf("insert: %+v, %v", verdict, err)
		}
	}
	if _, err := store.Run(t.Context(), now.Run); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("run before the commit: %v, want %v", err, workflow.ErrRunNotFound)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"a", "b"} {
		notification, err := listener.WaitForNotification(t.Context())
		if err != nil || notification.Payload != queue {
			t.Fatalf("notified of %+v, %v; want queue %s", notification, err, queue)
		}
	}
	for id, want := range map[workflow.RunID]workflow.State{now.Run: workflow.Available, later.Run: workflow.Scheduled} {
		if run, err := store.Run(t.Context(), id); err != nil || run.State != want || string(run.Input) != `{}` {
			t.Errorf("run %+v, %v; want it %s with its input", run, err, want)
		}
	}
	if _, err := store.Run(t.Context(), dropped.Run); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("run of a transaction that was rolled back: %v, want %v", err, workflow.ErrRunNotFound)
	}
}

func TestRunOfACallersTransactionAttachesByItsKey(t *testing.T) {
	t.Parallel()
	store := open(t)
	first, again, other := draft(), draft(), draft()
	first.Key, again.Key, other.Key = "k", "k", "k"
	other.InputHash = [32]byte{1}
	land(t, store, first)
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := store.InsertTx(t.Context(), tx, again)
	if err != nil || verdict.Existing == nil || verdict.Existing.ID != first.Run {
		t.Errorf("insert: %+v, %v; want the run with the key", verdict, err)
	}
	verdict, err = store.InsertTx(t.Context(), tx, other)
	if conflict, ok := errors.AsType[*workflow.KeyConflictError](verdict.Err); err != nil || !ok || conflict.Run != first.Run {
		t.Errorf("insert with another input: %+v, %v; want a conflict with run %s", verdict, err, first.Run)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("the transaction did not survive it: %v", err)
	}
}
