package postgres_test

import (
	"slices"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// queued is a store with a boot and a queue of runs that were due an hour ago.
func queued(t *testing.T, runs int) (*opened, persistence.BootID) {
	t.Helper()
	store := open(t)
	boot := owned(t, store, 1)[0].Boot
	var batch []persistence.Write
	for range runs {
		batch = append(batch, dueAgo(time.Hour))
	}
	land(t, store, batch...)
	return store, boot
}

func dueAgo(age time.Duration) persistence.Insert {
	insert := draft()
	insert.Due = time.Now().Add(-age)
	return insert
}

func claimed(t *testing.T, store persistence.Store, boot persistence.BootID, limit int) (runs []persistence.Activation) {
	t.Helper()
	verdicts, err := store.Commit(t.Context(), []persistence.Write{persistence.Claim{
		ID: workflow.NewRunID().String(), Boot: boot, Queue: "default", Limit: limit,
		Known: []persistence.Definition{{Workflow: "order", Version: 1}},
	}})
	if err != nil || verdicts[0].Err != nil {
		t.Fatalf("claim: %+v, %v", verdicts, err)
	}
	return verdicts[0].Activations
}

func TestClaimTakesFirstWhatCameBelowTheLastOne(t *testing.T) {
	t.Parallel()
	store, boot := queued(t, 20)
	first := claimed(t, store, boot, 5)

	late := dueAgo(2 * time.Hour)
	land(t, store, late)
	if got := claimed(t, store, boot, 1); len(got) != 1 || got[0].Run.ID != late.Run {
		t.Errorf("taken %+v, want the run that came late", got)
	}

	back := persistence.Fence{Run: first[0].Run.ID, Boot: boot, Epoch: 1}
	land(t, store, persistence.Advance{Fence: back, State: workflow.Available, Step: "reserve"})
	if got := claimed(t, store, boot, 1); len(got) != 1 || got[0].Run.ID != back.Run {
		t.Errorf("taken %+v, want the run that was handed over", got)
	}

	if err := store.Leave(t.Context(), boot); err != nil {
		t.Fatal(err)
	}
	done, err := store.Reassign(t.Context(), 100)
	if err != nil || done.Released != 7 { // and the one that was owned from the start
		t.Fatalf("reassigned %+v, %v; want 7 released", done, err)
	}
	got := claimed(t, store, owned(t, store, 1)[0].Boot, 1)
	if len(got) != 1 || got[0].Run.ID != late.Run {
		t.Errorf("taken %+v, want the first of the dead boot's runs", got)
	}
}

func TestClaimSoonFindsWhatAnotherNodePutBelow(t *testing.T) {
	t.Parallel()
	store, boot := queued(t, 2000)
	other := openAt(t, postgres.Config{URL: store.url})
	claimed(t, store, boot, 5)
	late := dueAgo(2 * time.Hour)
	land(t, other, late)
	put := time.Now()
	for time.Since(put) < patience {
		got := claimed(t, store, boot, 1)
		if slices.ContainsFunc(got, func(a persistence.Activation) bool { return a.Run.ID == late.Run }) {
			return
		}
	}
	t.Errorf("the run that another node put below was not taken within %s", time.Since(put))
}

func TestFullClaimsTakeAQueueInOrder(t *testing.T) {
	t.Parallel()
	store, boot := queued(t, 95)
	var taken []time.Time
	for {
		got := claimed(t, store, boot, 10)
		for _, activation := range got {
			taken = append(taken, activation.Run.DueAt)
		}
		if len(got) < 10 {
			break
		}
	}
	if len(taken) != 95 || !slices.IsSortedFunc(taken, time.Time.Compare) {
		t.Errorf("%d runs were taken, want all 95 in the order of their due times", len(taken))
	}
}
