package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"singularity/persistence"
	"singularity/persistence/memory"
	"singularity/persistence/storetest"
	"singularity/workflow"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Config{
		Open: func(testing.TB) persistence.Store { return memory.New() },
		Declare: func(t testing.TB, store persistence.Store, judge persistence.BootID, charge persistence.Charge) {
			if ended, err := store.(*memory.Store).Declare(t.Context(), judge, charge); err != nil || !ended {
				t.Fatalf("declare: %v, %v", ended, err)
			}
		},
		JobResult: func(_ context.Context, store persistence.Store, run workflow.RunID) (storetest.JobResult, bool, error) {
			result, found := store.(*memory.Store).JobResult(run)
			return storetest.JobResult(result), found, nil
		},
	})
}

func TestTimeIsThatOfTheBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		if err := store.Join(t.Context(), persistence.Boot{ID: "b"}); err != nil {
			t.Fatal(err)
		}
		insert := persistence.Insert{
			Run: workflow.NewRunID(), Workflow: "order", Version: 1, Step: "reserve", Queue: "default",
			Extras: persistence.Extras{Due: time.Now().Add(2 * time.Hour)},
		}
		claim := func() int {
			verdicts, err := store.Commit(t.Context(), []persistence.Write{persistence.Claim{
				ID: workflow.NewRunID().String(), Boot: "b", Queue: "default", Limit: 1,
				Known: []persistence.Definition{{Workflow: "order", Version: 1}},
			}})
			if err != nil || verdicts[0].Err != nil {
				t.Fatalf("claim: %+v, %v", verdicts, err)
			}
			return len(verdicts[0].Activations)
		}
		if _, err := store.Commit(t.Context(), []persistence.Write{insert}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Hour - time.Microsecond)
		if got := claim(); got != 0 {
			t.Errorf("claimed a microsecond before it was due")
		}
		time.Sleep(time.Microsecond)
		if got := claim(); got != 1 {
			t.Errorf("claimed %d runs when one was due", got)
		}
	})
}

func TestCallsAfterCloseFail(t *testing.T) {
	t.Parallel()
	store := memory.New()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Commit(t.Context(), nil); !errors.Is(err, workflow.ErrUnavailable) {
		t.Errorf("commit: %v, want %v", err, workflow.ErrUnavailable)
	}
}
