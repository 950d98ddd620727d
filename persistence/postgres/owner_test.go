package postgres_test

import (
	"errors"
	"testing"

	"singularity/persistence"
	"singularity/workflow"
)

func TestOwnerIsWhoRunsARunNow(t *testing.T) {
	t.Parallel()
	store := open(t)
	waiting := draft()
	land(t, store, waiting)
	if owner, err := store.Owner(t.Context(), waiting.Run); err != nil || owner != "" {
		t.Errorf("owner of a run that waits: %q, %v", owner, err)
	}
	fence := owned(t, store, 1)[0]
	if owner, err := store.Owner(t.Context(), fence.Run); err != nil || owner != fence.Boot {
		t.Errorf("owner %q, %v, want %q", owner, err, fence.Boot)
	}
	land(t, store, persistence.Advance{Fence: fence, State: workflow.Failed, Error: "enough"})
	if owner, err := store.Owner(t.Context(), fence.Run); err != nil || owner != "" {
		t.Errorf("owner of a run that has ended: %q, %v", owner, err)
	}
	if _, err := store.Owner(t.Context(), workflow.NewRunID()); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("owner of a run that is not there: %v", err)
	}
}
