package postgres_test

import (
	"testing"
	"time"
)

// Whoever has it locked may leave it as it was.
func TestOverdueRunThatSomebodyHasLockedIsLookedForAgainSoon(t *testing.T) {
	t.Parallel()
	store := open(t)
	boot := owned(t, store, 1)[0].Boot
	insert := draft()
	insert.Due, insert.Deadline = time.Now().Add(-2*time.Hour), time.Hour
	land(t, store, insert)
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM workflow_runs WHERE id = $1 FOR NO KEY UPDATE`, insert.Run.String()); err != nil {
		t.Fatal(err)
	}
	found, err := store.Expire(t.Context(), boot, 10)
	if err != nil || len(found.Failed) != 0 || found.Next <= 0 || found.Next > time.Second {
		t.Errorf("found %+v, %v; want nothing, and to look again within a second", found, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err = store.Expire(t.Context(), boot, 10)
	if err != nil || len(found.Failed) != 1 {
		t.Errorf("found %+v, %v; want the run", found, err)
	}
}
