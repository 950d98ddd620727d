package singularity_test

import (
	"testing"

	"singularity"
	"singularity/persistence"
	"singularity/persistence/sqlite"
)

func TestTakeoversAreThoseOfTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, boot := range []persistence.BootID{"1", "2"} {
		if err := store.Join(t.Context(), persistence.Boot{ID: boot, Instance: "dead"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil { // without a word of its boots
		t.Fatal(err)
	}
	engine := open(t, singularity.Config{DataDir: dir})
	all, err := engine.Takeovers(t.Context(), 0)
	if err != nil || len(all) != 2 {
		t.Fatalf("got %v, %v, want both", all, err)
	}
	if one, err := engine.Takeovers(t.Context(), 1); err != nil || len(one) != 1 {
		t.Errorf("got %v, %v, want one", one, err)
	}
	for _, takeover := range all {
		if takeover.GetInstanceId() != "dead" || takeover.GetGround() != "crashed" || takeover.GetDetectedBy() != "lock" ||
			takeover.GetDeclaredAt().AsTime().IsZero() || takeover.GetClaimedAt() != nil || takeover.GetResumedAt() != nil {
			t.Errorf("got %v, want a process that had no runs", takeover)
		}
	}
}
