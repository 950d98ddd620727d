package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"singularity/persistence"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

func limitedClaim(boot persistence.BootID, limit int) persistence.Claim {
	return persistence.Claim{
		ID: workflow.NewRunID().String(), Boot: boot, Queue: "default", Limit: limit, Limited: true,
		Known: []persistence.Definition{{Workflow: "order", Version: 1}},
	}
}

func join(t *testing.T, store *opened, boot persistence.BootID) {
	t.Helper()
	if err := store.Join(t.Context(), persistence.Boot{ID: boot, Instance: string(boot)}); err != nil {
		t.Fatal(err)
	}
}

// waiting inserts a run that waits in the usual queue.
func waiting(t *testing.T, store *opened, input string) {
	t.Helper()
	insert := persistence.Insert{
		Run: workflow.NewRunID(), Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Input: []byte(input),
	}
	if verdict := commit(t, store, insert); verdict.Err != nil {
		t.Fatal(verdict.Err)
	}
}

func commit(t *testing.T, store *opened, write persistence.Write) persistence.Verdict {
	t.Helper()
	verdicts, err := store.Commit(t.Context(), []persistence.Write{write})
	if err != nil {
		t.Fatal(err)
	}
	return verdicts[0]
}

// lockTimeout is how long a statement of a store waits for a lock.
const lockTimeout = time.Second

// passesSoon checks that claims do not wait for a row: those that do take as long
// each time, and others not even on a machine that is busy with more.
func passesSoon(t *testing.T, claim func(), waits time.Duration) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; {
		began := time.Now()
		if claim(); time.Since(began) < waits {
			return
		}
	}
	t.Errorf("in %s each try took %s or more, want one that does not wait", patience, waits)
}

// A node that is paused in the middle of a claim holds the row of its queue.
func TestLimitedClaimDoesNotWaitForAnother(t *testing.T) {
	t.Parallel()
	store := open(t)
	join(t, store, "a")
	if _, err := store.SetQueue(t.Context(), "default", workflow.QueueChange{GlobalLimit: new(1)}); err != nil {
		t.Fatal(err)
	}
	waiting(t, store, `{}`)
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM queues WHERE name = 'default' FOR NO KEY UPDATE`); err != nil {
		t.Fatal(err)
	}
	passesSoon(t, func() {
		if verdict := commit(t, store, limitedClaim("a", 1)); !verdict.Held || len(verdict.Activations) != 0 {
			t.Fatalf("held %t, %d runs; want it held", verdict.Held, len(verdict.Activations))
		}
	}, lockTimeout)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if verdict := commit(t, store, limitedClaim("a", 1)); verdict.Held || len(verdict.Activations) != 1 {
		t.Errorf("held %t, %d runs afterwards", verdict.Held, len(verdict.Activations))
	}
}

// Whoever is about to end a run that waits has its row.
func TestLimitedClaimPassesOverRunsThatSomebodyHolds(t *testing.T) {
	t.Parallel()
	store := open(t)
	join(t, store, "a")
	if _, err := store.SetQueue(t.Context(), "default", workflow.QueueChange{KeyPath: new("k")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		waiting(t, store, `{"k":"a"}`)
	}
	tx, err := store.outside(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM workflow_runs ORDER BY id LIMIT 1 FOR NO KEY UPDATE`); err != nil {
		t.Fatal(err)
	}
	taken := 0
	var verdict persistence.Verdict
	passesSoon(t, func() {
		for range 5 {
			verdict = commit(t, store, limitedClaim("a", 2))
			taken += len(verdict.Activations)
		}
	}, 5*lockTimeout)
	if taken == 0 && verdict.Wait == 0 {
		t.Error("no run was taken, and the claim does not say when to go on")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		taken += len(commit(t, store, limitedClaim("a", 2)).Activations)
	}
	if taken != 3 {
		t.Errorf("%d runs were taken, want all 3", taken)
	}
}

func TestChangesOfQueuesReachOtherNodes(t *testing.T) {
	t.Parallel()
	store := open(t)
	heard := make(chan struct{}, 10)
	store.Listen(persistence.Listener{QueuesChanged: func() { heard <- struct{}{} }})
	join(t, store, "a")
	other := openAt(t, postgres.Config{URL: store.url, LeaseTerm: longTerm})
	version := func() int64 {
		t.Helper()
		renewal, err := store.Renew(t.Context(), "a", persistence.Status{State: persistence.NodeAlive})
		if err != nil {
			t.Fatal(err)
		}
		return renewal.Queues
	}
	before := version()
	for name, change := range map[string]func() error{
		"set": func() error {
			_, err := other.SetQueue(t.Context(), "default", workflow.QueueChange{GlobalLimit: new(7)})
			return err
		},
		"pause": func() error {
			_, _, err := other.PauseQueue(t.Context(), "reports", true)
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard:
		case <-time.After(patience):
			t.Errorf("%s: the other node was not told", name)
		}
		if after := version(); after == before {
			t.Errorf("%s: the renewal says %d, as before", name, after)
		} else {
			before = after
		}
	}
	if _, changed, err := other.PauseQueue(t.Context(), "reports", true); err != nil || changed || version() != before {
		t.Errorf("pausing again: changed %t, %v, or the renewal says so", changed, err)
	}
	settings, err := store.QueueSettings(t.Context())
	if err != nil || len(settings) != 2 || settings[0].GlobalLimit != 7 || settings[1].PausedAt == nil {
		t.Errorf("settings %+v, %v", settings, err)
	}
}

func TestCancelledRunsThatRanReachOtherNodes(t *testing.T) {
	t.Parallel()
	store := open(t)
	heard := make(chan workflow.RunID, 10)
	store.Listen(persistence.Listener{RunCancelled: func(run workflow.RunID) { heard <- run }})
	join(t, store, "a")
	other := openAt(t, postgres.Config{URL: store.url, LeaseTerm: longTerm})
	waits, runs := workflow.NewRunID(), workflow.NewRunID()
	for run, owner := range map[workflow.RunID]persistence.BootID{waits: "", runs: "a"} {
		commit(t, store, persistence.Insert{Run: run, Workflow: "order", Version: 1, Step: "reserve", Queue: "default", Owner: owner})
	}
	commit(t, other, persistence.Cancel{Run: waits})
	commit(t, other, persistence.Cancel{Run: runs})
	select {
	case run := <-heard:
		if run != runs {
			t.Errorf("heard of run %s, which did not run; want %s", run, runs)
		}
	case <-time.After(patience):
		t.Error("the owner was not told")
	}
}

// Runs that begin by the thousand, of keys by the thousand, share a queue to the
// run.
func TestAThousandKeysTakeTurns(t *testing.T) {
	t.Parallel()
	store := open(t)
	join(t, store, "a")
	const keys, rounds = 1000, 5
	if _, err := store.SetQueue(t.Context(), "default", workflow.QueueChange{KeyPath: new("k"), KeyLimit: new(100)}); err != nil {
		t.Fatal(err)
	}
	_, err := store.outside(t).Exec(t.Context(), `
		INSERT INTO workflow_runs (id, workflow, version, input_hash, state, queue, priority, due_at, sort_key, step, limit_key, created_at, updated_at)
		SELECT gen_random_uuid(), 'order', 1, ''::bytea, 'available', 'default', 0, now(), now(), 'reserve', 'tenant ' || n % $1::integer, now(), now()
		FROM generate_series(1, $2::integer) AS n
		UNION ALL
		SELECT gen_random_uuid(), 'order', 1, ''::bytea, 'available', 'default', 0, now(), now() - interval '1 hour', 'reserve', 'tenant 0', now(), now()
		FROM generate_series(1, 10000) AS n`, keys, 10*keys)
	if err != nil {
		t.Fatal(err)
	}
	began, claims := map[string]int{}, 0
	for taken := 0; taken < keys*rounds; claims++ {
		activations := commit(t, store, limitedClaim("a", 50)).Activations
		if len(activations) == 0 {
			t.Fatalf("nothing was taken after %d runs", taken)
		}
		taken += len(activations)
		for _, activation := range activations {
			began[activation.Run.LimitKey]++
		}
	}
	for key := range keys {
		if got := began[fmt.Sprintf("tenant %d", key)]; got != rounds {
			t.Errorf("%d runs of tenant %d began, want %d", got, key, rounds)
		}
	}
}

// However many runs wait, they are counted in a moment.
func TestCountsOfWhatWaitsEndAtABound(t *testing.T) {
	t.Parallel()
	store := open(t)
	_, err := store.outside(t).Exec(t.Context(), `
		INSERT INTO workflow_runs (id, workflow, version, input_hash, state, queue, priority, due_at, sort_key, step, created_at, updated_at)
		SELECT gen_random_uuid(), 'order', 1, ''::bytea, CASE n WHEN 0 THEN 'retryable' ELSE 'scheduled' END, 'default', n % 2,
			due.at, due.at + n % 2 * interval '1 minute', 'reserve', now(), now()
		FROM generate_series(0, $1::integer) AS n
		CROSS JOIN LATERAL (SELECT now() + interval '1 hour' + n * interval '1 second') AS due (at)`, 2*workflow.MostCounted)
	if err != nil {
		t.Fatal(err)
	}
	list, err := store.QueueStats(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("stats %+v, %v; want one queue", list, err)
	}
	if q := list[0]; q.Available != 0 || q.Retryable != 1 || q.Scheduled < workflow.MostCounted || q.Scheduled >= 2*workflow.MostCounted {
		t.Errorf("stats %+v, want one between attempts, and the others not counted to the end", q)
	}
}
