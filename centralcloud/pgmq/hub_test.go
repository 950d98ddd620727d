package pgmq_test

import (
	"errors"
	"testing"
	"time"

	"singularity/centralcloud/hub"
	"singularity/centralcloud/hubtest"
	"singularity/internal/testpostgres"
)

func TestHubKeepsToTheSuite(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, func(t testing.TB) hub.Store { return open(t, testpostgres.URL(t)) })
}

func TestWhoWaitsForTheLeadWritesNothing(t *testing.T) {
	t.Parallel()
	store := open(t, testpostgres.URL(t))
	if _, err := store.Lead(t.Context(), "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lead(t.Context(), "b", time.Hour); !errors.Is(err, hub.ErrNotLeading) {
		t.Errorf("the second leader: %v, want it refused", err)
	}
	var locked bool
	err := connect(t, store.url).QueryRow(t.Context(), `SELECT xmax <> '0' FROM centralcloud.leader`).Scan(&locked)
	if err != nil || locked {
		t.Errorf("the row of the leader was locked: %t, %v", locked, err)
	}
}
