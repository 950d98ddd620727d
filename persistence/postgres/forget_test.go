package postgres_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/persistence"
)

// The store goes on as if nothing had been there, whichever way the run comes.
func TestIDThatIsUsedAgainMeetsNoCheckpointsOfItsFirstRun(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*opened, persistence.Insert) error{
		"commit": func(o *opened, insert persistence.Insert) error {
			land(t, o, insert)
			return nil
		},
		"many at once": func(o *opened, insert persistence.Insert) error {
			_, err := o.InsertAll(t.Context(), []persistence.Insert{insert, draft()})
			return err
		},
		"in a transaction": func(o *opened, insert persistence.Insert) error {
			return pgx.BeginFunc(t.Context(), o.outside(t), func(tx pgx.Tx) error {
				_, err := o.InsertTx(t.Context(), tx, insert)
				return err
			})
		},
	}
	for name, insert := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := openPartitioned(t, 6)
			again, boot := store.leftBehind(t)
			if err := insert(store, again); err != nil {
				t.Fatalf("insert with an id that was used before: %v", err)
			}
			steps, err := store.Steps(t.Context(), again.Run)
			if err != nil || len(steps) != 0 {
				t.Errorf("steps %+v, %v; want a new run without any", steps, err)
			}
			claim := persistence.Claim{ID: "c", Boot: boot, Queue: again.Queue, Limit: 10, Known: []persistence.Definition{{Workflow: "order", Version: 1}}}
			verdicts, err := store.Commit(t.Context(), []persistence.Write{claim})
			if err != nil {
				t.Fatal(err)
			}
			taken := verdicts[0].Activations
			at := slices.IndexFunc(taken, func(a persistence.Activation) bool { return a.Run.ID == again.Run })
			if at < 0 || taken[at].State != nil || taken[at].Seq != 0 || string(taken[at].Run.Input) != string(again.Input) {
				t.Errorf("claimed %+v, want the new run without a state", taken)
			}
		})
	}
}

// leftBehind is the id of a run that was pruned while its checkpoints were not,
// for a run with another input.
func (o *opened) leftBehind(t *testing.T) (persistence.Insert, persistence.BootID) {
	t.Helper()
	boot := owned(t, o, 1)[0].Boot
	kept := draftOf(daysAgo(4))
	land(t, o, kept)
	o.manySteps(t, kept.Run)
	insert := draftOf(daysAgo(4))
	o.completed(t, boot, insert)
	if pruned := o.prune(t); pruned.Runs != 1 {
		t.Fatalf("pruned %+v, want a run", pruned)
	}
	if left := o.partitions(t)[tableOf(daysAgo(4))]; left != 1001+2 {
		t.Fatalf("%d checkpoints are in the partition, want two that were left behind", left)
	}
	insert.Input = []byte(`{"again":true}`)
	return insert, boot
}

func TestIDThatIsUsedAgainWhileItsFirstRunIsDeleted(t *testing.T) {
	t.Parallel()
	store := openPartitioned(t, 6)
	boot := owned(t, store, 1)[0].Boot
	insert := draftOf(daysAgo(4))
	store.completed(t, boot, insert)
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `DELETE FROM workflow_runs WHERE id = $1::uuid`, insert.Run.String()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		verdicts, err := store.Commit(t.Context(), []persistence.Write{insert})
		if err == nil {
			err = verdicts[0].Err
		}
		done <- err
	}()
	watcher := store.outside(t)
	until(t, "the insert waits", func() bool {
		return rendered(t, watcher, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == "1"
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("insert with the id of a run that is being deleted: %v", err)
	}
	if steps, err := store.Steps(t.Context(), insert.Run); err != nil || len(steps) != 0 {
		t.Errorf("steps %+v, %v; want a new run without any", steps, err)
	}
}
