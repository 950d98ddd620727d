package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"singularity/internal/testclock"
	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

// Writers go on, by statements that they prepared before, and find their runs.
func TestCheckpointsArePartitionedUnderWriters(t *testing.T) {
	t.Parallel()
	store := open(t)
	testclock.AwayFromMidnight(t, time.Now())
	fences := owned(t, store, 20)
	const enough = 10 // batches after the change, and before it
	var writers sync.WaitGroup
	begun, changed := make(chan struct{}), make(chan struct{})
	writers.Go(func() {
		after := false
		began := time.Now()
		for batch := int64(0); time.Since(began) < patience; batch++ {
			land(t, store, advances(fences)...)
			for i := range fences {
				fences[i].Seq++
			}
			if batch == enough {
				close(begun)
			}
			select {
			case <-changed:
				if after {
					return
				}
				after = true
			default:
			}
		}
		t.Errorf("the checkpoints were not partitioned within %s", patience)
	})
	<-begun
	days, did, err := postgres.Partition(t.Context(), store.url, pause)
	close(changed)
	writers.Wait()
	if err != nil || !did || len(days.List) != 2 || len(days.Missing()) != 0 {
		t.Fatalf("partition: %+v, %t, %v; want the time until tomorrow, and the day after it", days, did, err)
	}
	for _, fence := range fences {
		if steps, err := store.Steps(t.Context(), fence.Run); err != nil || int64(len(steps)) != fence.Seq {
			t.Errorf("run %s has %d steps, %v; want %d", fence.Run, len(steps), err, fence.Seq)
		}
	}

	tables := store.partitions(t)
	again, did, err := postgres.Partition(t.Context(), store.url, pause)
	if err != nil || did || len(again.List) != 2 || !maps.Equal(store.partitions(t), tables) {
		t.Errorf("partition again: %+v, %t, %v; want nothing to change", again, did, err)
	}
}

// Callers choose ids; some are of the day for which there is a partition, some
// of none.
func TestCheckpointsOfDaysToComeMoveWhenTheOthersArePartitioned(t *testing.T) {
	t.Parallel()
	store := open(t)
	testclock.AwayFromMidnight(t, time.Now())
	inserts := []persistence.Insert{draftOf(daysAgo(-2)), draftOf(daysAgo(-3)), draftOf(daysAgo(-3000))}
	boot := owned(t, store, 1)[0].Boot
	for i := range inserts {
		inserts[i].Owner = boot
		land(t, store, inserts[i])
	}
	if _, changed, err := postgres.Partition(t.Context(), store.url, pause); err != nil || !changed {
		t.Fatalf("partition: %t, %v", changed, err)
	}
	want := map[string]int{"step_checkpoints_earlier": 1, tableOf(daysAgo(-2)): 1, "step_checkpoints_spare": 2}
	if tables := store.partitions(t); !maps.Equal(tables, want) {
		t.Errorf("got the partitions %v, want %v", tables, want)
	}
	for _, insert := range inserts {
		land(t, store, advance(persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1}))
		if run, err := store.Run(t.Context(), insert.Run); err != nil || string(run.Input) != string(insert.Input) {
			t.Errorf("run %s: %+v, %v; want it as it was", insert.Run, run, err)
		}
	}
}

func TestDaysOfADatabaseWithoutAnyAreNone(t *testing.T) {
	t.Parallel()
	for _, url := range []string{testpostgres.URL(t), testpostgres.Empty(t)} {
		if days, err := postgres.ReadDays(t.Context(), url); err != nil || days != nil {
			t.Errorf("got %+v, %v; want none", days, err)
		}
	}
}

func TestCheckpointsAreNotPartitioned(t *testing.T) {
	t.Parallel()
	large := open(t)
	run := draft()
	land(t, large, run)
	const fill = `INSERT INTO singularity.step_checkpoints (run_id, seq) SELECT '%s', n FROM generate_series(1, 100000) AS n`
	exec(t, large.url, fmt.Sprintf(fill, run.Run))
	if _, _, err := postgres.Partition(t.Context(), large.url, time.Millisecond); err == nil || !strings.Contains(err.Error(), "longer than 1ms") {
		t.Errorf("within a millisecond: %v, want it to say that this is too short", err)
	}

	if _, _, err := postgres.Partition(t.Context(), testpostgres.Empty(t), pause); !errors.Is(err, persistence.ErrSchemaMissing) {
		t.Errorf("without a schema: %v, want %v", err, persistence.ErrSchemaMissing)
	}

	held := open(t)
	if _, err := held.outside(t).Exec(t.Context(), `BEGIN; SELECT FROM step_checkpoints`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, _, err := postgres.Partition(ctx, held.url, pause); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while somebody reads: %v, want %v", err, context.DeadlineExceeded)
	}
	land(t, held, draft())

	for _, store := range []*opened{large, held} {
		if days, err := postgres.ReadDays(t.Context(), store.url); err != nil || days != nil {
			t.Errorf("days %+v, %v; want none", days, err)
		}
		land(t, store, draft())
	}
}

func TestPartitionedCheckpointsKeepTheirOwnerAndTheirReaders(t *testing.T) {
	t.Parallel()
	url := testpostgres.URL(t)
	exec(t, url, `GRANT SELECT ON singularity.step_checkpoints TO PUBLIC`)
	const rights = `SELECT relowner::regrole, relacl FROM pg_class WHERE oid = 'step_checkpoints'::regclass`
	store := openAt(t, postgres.Config{URL: url})
	before := rendered(t, store.outside(t), rights)
	if _, _, err := postgres.Partition(t.Context(), url, pause); err != nil {
		t.Fatal(err)
	}
	if after := rendered(t, store.outside(t), rights); after != before {
		t.Errorf("owner and rights are %s, were %s", after, before)
	}
}

func TestMigrationDownMakesPartitionsOneTableAgain(t *testing.T) {
	t.Parallel()
	store := openPartitioned(t, 6)
	again, _ := store.leftBehind(t)
	fence := owned(t, store, 1)[0]
	land(t, store, advance(fence))
	count := func(of workflow.RunID) string {
		return rendered(t, store.outside(t), fmt.Sprintf(`SELECT count(*) FROM step_checkpoints WHERE run_id = '%s'`, of))
	}
	if left := count(again.Run); left != "2" {
		t.Fatalf("%s checkpoints were left behind, want 2", left)
	}
	for {
		undone, err := postgres.MigrateDown(t.Context(), store.url)
		if err != nil || undone == nil {
			t.Fatalf("migrate down: %+v, %v", undone, err)
		}
		if undone.Name == "days" {
			break
		}
	}
	if days, err := postgres.ReadDays(t.Context(), store.url); err != nil || days != nil {
		t.Errorf("days %+v, %v; want none", days, err)
	}
	if kept, left := count(fence.Run), count(again.Run); kept != "2" || left != "0" {
		t.Errorf("%s checkpoints of a run and %s of one that is gone, want 2 and none", kept, left)
	}
	if _, err := postgres.MigrateUp(t.Context(), store.url); err != nil {
		t.Fatal(err)
	}
	land(t, store, again)
	if _, changed, err := postgres.Partition(t.Context(), store.url, pause); err != nil || !changed {
		t.Errorf("partition once more: %t, %v", changed, err)
	}
	if tables := store.partitions(t); tables["step_checkpoints_earlier"] == 0 {
		t.Errorf("got the partitions %v", tables)
	}
}
