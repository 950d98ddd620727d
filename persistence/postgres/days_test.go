package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testclock"
	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/persistence/storetest"
	"singularity/workflow"
)

// pause is more than long enough for the few checkpoints of a test.
const pause = patience

// openPartitioned is a store whose checkpoints were partitioned some days ago,
// and whose first day is two days later than that.
func openPartitioned(t testing.TB, ago int) *opened {
	t.Helper()
	testclock.AwayFromMidnight(t, time.Now())
	url := testpostgres.URL(t)
	partitionAt(t, url, daysAgo(ago))
	return openAt(t, postgres.Config{URL: url, LeaseTerm: longTerm})
}

func partitionAt(t testing.TB, url string, at time.Time) {
	t.Helper()
	if _, changed, err := postgres.PartitionAt(t.Context(), url, pause, at); err != nil || !changed {
		t.Fatalf("partition: %t, %v", changed, err)
	}
}

// daysAgo is noon of a day.
func daysAgo(days int) time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days).Add(12 * time.Hour)
}

// draftOf is a draft with an id of some time.
func draftOf(at time.Time) persistence.Insert {
	insert, first := draft(), postgres.FirstID(at)
	copy(insert.Run[:6], first[:])
	return insert
}

// completed inserts a run and completes it, if it is not to be kept.
func (o *opened) completed(t *testing.T, boot persistence.BootID, insert persistence.Insert) workflow.RunID {
	t.Helper()
	insert.Owner = boot
	land(t, o, insert)
	w := advance(persistence.Fence{Run: insert.Run, Boot: boot, Epoch: 1})
	w.State, w.Step, w.Entry.Output = workflow.Completed, "", []byte(`{"sent":true}`)
	w.Entry.Facts = []workflow.Fact{{Kind: "cost", Doc: []byte(`1`), At: time.Now()}}
	land(t, o, w)
	return insert.Run
}

// manySteps gives a run more checkpoints than are moved.
func (o *opened) manySteps(t *testing.T, run workflow.RunID) {
	t.Helper()
	const fill = `INSERT INTO step_checkpoints (run_id, seq, step) SELECT $1::uuid, n, 'turn' FROM generate_series(10, 1009) AS n`
	if _, err := o.outside(t).Exec(t.Context(), fill, run.String()); err != nil {
		t.Fatal(err)
	}
}

// all is a policy by which nothing that has ended is kept.
var all = persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: -time.Minute, Failed: -time.Minute}}

func (o *opened) prune(t *testing.T) persistence.Pruned {
	t.Helper()
	pruned, err := o.Prune(t.Context(), all, 100)
	if err != nil {
		t.Fatal(err)
	}
	return pruned
}

// partitions are the tables of the checkpoints with how many are in them.
func (o *opened) partitions(t *testing.T) map[string]int {
	t.Helper()
	const query = `
		SELECT child.relname::text, (SELECT count(*) FROM step_checkpoints AS entry WHERE entry.tableoid = child.oid)
		FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
		WHERE inhparent = 'step_checkpoints'::regclass`
	rows, err := o.outside(t).Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]int{}
	var name string
	var count int
	if _, err := pgx.ForEachRow(rows, []any{&name, &count}, func() error { tables[name] = count; return nil }); err != nil {
		t.Fatal(err)
	}
	return tables
}

func tableOf(day time.Time) string { return "step_checkpoints_" + day.Format("20060102") }

// leaving is a partitioned store whose days are in use while it prunes, so that
// runs leave their checkpoints behind.
type leaving struct {
	*opened
	user *pgx.Conn
}

func (l leaving) Prune(ctx context.Context, policy persistence.RetentionPolicy, limit int) (pruned persistence.Pruned, err error) {
	err = pgx.BeginFunc(ctx, l.user, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE ONLY step_checkpoints IN ACCESS SHARE MODE`); err != nil {
			return err
		}
		pruned, err = l.Store.Prune(ctx, policy, limit)
		return err
	})
	return pruned, err
}

func TestPartitionedStore(t *testing.T) {
	t.Parallel()
	dayOfTheSuite := time.Date(2024, time.June, 10, 0, 0, 0, 0, time.UTC) // by the ids of its runs
	storetest.Run(t, storetest.Config{
		About: []string{
			"advance", "batch", "batches", "bulk", "concurrency", "fence", "insert", "read", "replace", "results", "retention", "retry", "takeover",
		},
		Open: func(t testing.TB) persistence.Store {
			testclock.AwayFromMidnight(t, time.Now())
			url := testpostgres.URL(t)
			partitionAt(t, url, dayOfTheSuite.AddDate(0, 0, -2))
			store := openAt(t, postgres.Config{URL: url, LeaseTerm: longTerm})
			const ready = `CREATE TABLE singularity.ready PARTITION OF singularity.step_checkpoints FOR VALUES FROM ('%s') TO ('%s')`
			exec(t, url, fmt.Sprintf(ready, postgres.FirstID(daysAgo(1)), postgres.FirstID(daysAgo(-4))))
			return leaving{store, store.outside(t)}
		},
		Declare: func(t testing.TB, store persistence.Store, judge persistence.BootID, charge persistence.Charge) {
			declare(t, store.(leaving).opened, judge, charge)
		},
		JobResult: func(ctx context.Context, store persistence.Store, id workflow.RunID) (storetest.JobResult, bool, error) {
			return jobResult(ctx, store.(leaving).opened, id)
		},
	})
}

func TestRetentionMakesTheDaysToComeAndDropsThoseThatAreOver(t *testing.T) {
	t.Parallel()
	store := openPartitioned(t, 6)
	boot := owned(t, store, 1)[0].Boot // and a run of today
	first := daysAgo(4)
	gone := store.completed(t, boot, draftOf(first))
	earlier := draftOf(daysAgo(40))
	kept := draftOf(first)
	land(t, store, earlier, kept)

	if found, err := store.Expired(t.Context(), persistence.RetentionPolicy{}); err != nil || !found.Due() || !found.Days {
		t.Fatalf("expired: %+v, %v; want days to be due", found, err)
	}
	if pruned := store.prune(t); pruned.Runs != 1 || pruned.Days != 2 {
		t.Errorf("pruned %+v, want a run and two days", pruned)
	}

	today := daysAgo(0)
	want := map[string]int{
		"step_checkpoints_spare": 2, // those that are kept
		tableOf(today):           1, tableOf(today.AddDate(0, 0, 1)): 0, tableOf(today.AddDate(0, 0, 2)): 0,
	}
	if tables := store.partitions(t); !maps.Equal(tables, want) {
		t.Errorf("got the partitions %v, want %v", tables, want)
	}
	for _, insert := range []persistence.Insert{earlier, kept} {
		if run, err := store.Run(t.Context(), insert.Run); err != nil || string(run.Input) != string(insert.Input) {
			t.Errorf("run %s: %+v, %v; want it as it was", insert.Run, run, err)
		}
	}
	if _, err := store.Steps(t.Context(), gone); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("steps of a run that is gone: %v", err)
	}
	if found, err := store.Expired(t.Context(), persistence.RetentionPolicy{}); err != nil || found.Due() {
		t.Errorf("expired: %+v, %v; want nothing any more", found, err)
	}
	if pruned := store.prune(t); pruned != (persistence.Pruned{}) {
		t.Errorf("pruned %+v, want nothing any more", pruned)
	}
}

func TestDayIsKeptForItsRunsThatAre(t *testing.T) {
	t.Parallel()
	store := openPartitioned(t, 6)
	boot := owned(t, store, 1)[0].Boot
	first := daysAgo(4)
	kept := draftOf(first)
	land(t, store, kept)
	store.manySteps(t, kept.Run)
	gone := store.completed(t, boot, draftOf(first))
	if pruned := store.prune(t); pruned.Runs != 1 || pruned.Days != 1 {
		t.Errorf("pruned %+v, want a run, and the time before", pruned)
	}
	if left := store.partitions(t)[tableOf(first)]; left != 1001+2 {
		t.Errorf("%d checkpoints are in the partition, want those of the kept run and two that go with it", left)
	}
	if _, err := store.Steps(t.Context(), gone); !errors.Is(err, workflow.ErrRunNotFound) {
		t.Errorf("steps of a run that is gone: %v", err)
	}
	land(t, store, persistence.Cancel{Run: kept.Run})
	if pruned := store.prune(t); pruned.Runs != 1 || pruned.Days != 1 {
		t.Errorf("pruned %+v, want the last run and the day", pruned)
	}
}

func TestCheckpointsOfTodayAndOfNoKnownDayAreDeletedWithTheirRun(t *testing.T) {
	t.Parallel()
	store := openPartitioned(t, 6)
	boot := owned(t, store, 1)[0].Boot
	store.prune(t) // makes the day
	ids := []time.Time{time.Now(), daysAgo(2), time.Now().AddDate(10, 0, 0)}
	for _, at := range ids {
		store.completed(t, boot, draftOf(at))
	}
	if pruned := store.prune(t); pruned.Runs != len(ids) {
		t.Fatalf("pruned %+v, want %d runs", pruned, len(ids))
	}
	for name, count := range store.partitions(t) {
		if name != tableOf(daysAgo(0)) && count > 0 || count > 1 {
			t.Errorf("%d checkpoints are left in %s", count, name)
		}
	}
}

func TestDayIsNotDroppedUnderARunThatIsInserted(t *testing.T) {
	t.Parallel()
	store := openPartitioned(t, 6)
	insert := draftOf(daysAgo(4))
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if verdict, err := store.InsertTx(t.Context(), tx, insert); err != nil || verdict.Err != nil {
		t.Fatalf("insert: %+v, %v", verdict, err)
	}
	if pruned := store.prune(t); pruned.Days != 0 {
		t.Errorf("pruned %+v, want no day", pruned)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pruned := store.prune(t); pruned.Days != 2 {
		t.Errorf("pruned %+v, want the day and what came before", pruned)
	}
	if run, err := store.Run(t.Context(), insert.Run); err != nil || string(run.Input) != string(insert.Input) {
		t.Errorf("run %+v, %v; want it as it was", run, err)
	}
}

// Retention was late: today's runs are among those of no known day.
func TestLateDaysMoveWhatIsLittleAndLeaveWhatIsMuch(t *testing.T) {
	t.Parallel()
	for name, much := range map[string]bool{"little": false, "much": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := openPartitioned(t, 6)
			fence := owned(t, store, 1)[0]
			land(t, store, advance(fence))
			if much {
				store.manySteps(t, fence.Run)
			}
			store.prune(t)
			tables := store.partitions(t)
			today, tomorrow := tableOf(daysAgo(0)), tableOf(daysAgo(-1))
			if _, made := tables[today]; made == much {
				t.Errorf("got the partitions %v, want one for today: %t", tables, !much)
			}
			if _, made := tables[tomorrow]; !made {
				t.Errorf("got the partitions %v, want one for tomorrow", tables)
			}
			fence.Seq++
			land(t, store, advance(fence))
			if steps, err := store.Steps(t.Context(), fence.Run); err != nil || len(steps) < 2 {
				t.Errorf("steps %+v, %v; want both", steps, err)
			}
			if found, err := store.Expired(t.Context(), persistence.RetentionPolicy{}); err != nil || found.Due() {
				t.Errorf("expired: %+v, %v; want nothing that calls for retention", found, err)
			}
		})
	}
}

func TestDaysThatAreMissing(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.February, 27, 23, 59, 59, 0, time.UTC)
	day := func(month time.Month, day int) time.Time { return time.Date(2026, month, day, 0, 0, 0, 0, time.UTC) }
	for name, test := range map[string]struct {
		list []postgres.Day
		want string
	}{
		"all":  {nil, "20260227 20260228 20260301"},
		"none": {[]postgres.Day{{Until: day(time.February, 28)}, {From: day(time.February, 28), Until: day(time.March, 2)}}, ""},
		"last": {[]postgres.Day{{Until: day(time.March, 1)}}, "20260301"},
		"gap":  {[]postgres.Day{{From: day(time.February, 28), Until: day(time.March, 1)}}, "20260227 20260301"},
	} {
		var got []string
		for _, missing := range (&postgres.Days{At: at, List: test.list}).Missing() {
			got = append(got, strings.TrimPrefix(missing.Table, "step_checkpoints_"))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %v, want %s", name, got, test.want)
		}
	}
}
