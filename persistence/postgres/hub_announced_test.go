package postgres_test

import (
	"testing"
	"time"

	"singularity/persistence"
)

func TestHubsThatAnnounceThemselvesAreHeardOf(t *testing.T) {
	t.Parallel()
	store := open(t)
	heard := make(chan struct{}, 10)
	store.Listen(persistence.Listener{HubAnnounced: func() { heard <- struct{}{} }})
	next := func(of string) {
		t.Helper()
		select {
		case <-heard:
		case <-time.After(patience):
			t.Fatalf("the node was not told of %s", of)
		}
	}
	join(t, store, "a")
	next("a session, before which nobody listened")
	outside := store.outside(t)
	if _, err := outside.Exec(t.Context(), `NOTIFY singularity_centralcloud`); err != nil {
		t.Fatal(err)
	}
	next("a hub")
	const breakSession = `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	if _, err := outside.Exec(t.Context(), breakSession); err != nil {
		t.Fatal(err)
	}
	next("a new session")
}
