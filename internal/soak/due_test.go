package soak

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"singularity"
	"singularity/workflow"
)

const (
	// mostLate is how much later than its time a run begins, at most.
	mostLate = 200 * time.Millisecond
	// mostSweep is how long a look at what waits takes the server, on average.
	mostSweep = time.Millisecond
	// mostListed is how long the list of the queues takes, whatever waits.
	mostListed = 200 * time.Millisecond
	// dueEvery is between two of the runs that become due.
	dueEvery = 100 * time.Millisecond
)

// TestRunsBeginWhenTheyAreDue lets runs become due one by one in front of many
// that are scheduled for later, and looks what these cost while nothing happens.
func TestRunsBeginWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	c, admin := newCountedCluster(t, "runs become due")
	rows, runs, lasts := 20_000, 10, time.Second
	if *full {
		rows, runs, lasts = 1_000_000, 300, *idle
	}
	c.schedule(admin, rows)
	var mu sync.Mutex
	began := map[string]time.Time{}
	done := make(chan struct{})
	flow := workflow.Define("load", accept, conclude, workflow.Do("note", func(_ context.Context, o *order) error {
		mu.Lock()
		defer mu.Unlock()
		began[o.Note] = time.Now()
		if len(began) == runs {
			close(done)
		}
		return nil
	}))
	engine := c.openEngine(singularity.Config{DatabaseURL: c.url}, flow)
	engine.awaitReady()
	c.begin()
	c.forgetStatements(admin)
	scans := c.scans(admin)
	due := map[string]time.Time{}
	first := time.Now().Add(2 * time.Second)
	for i := range runs {
		note := fmt.Sprint(i)
		due[note] = first.Add(time.Duration(i) * dueEvery)
		if _, err := flow.StartWith(t.Context(), engine, order{note}, workflow.Options{Due: due[note]}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-done:
	case <-time.After(time.Until(first.Add(time.Duration(runs)*dueEvery)) + patience):
		mu.Lock()
		defer mu.Unlock()
		t.Fatalf("%d of %d runs began", len(began), runs)
	}
	pass(t, lasts)
	c.verdict.CPU = c.cpu.share(readCPU())
	var late []time.Duration
	for note, at := range began {
		late = append(late, at.Sub(due[note]))
	}
	c.verdict.Counts["rows"], c.verdict.Counts["idle_seconds"] = rows, int(lasts.Seconds())
	c.judgeLateness("due_to_begun", late)
	c.judgeSweeps(admin)
	if scans := c.scans(admin) - scans; scans > 0 {
		c.brokenly("%d scans of whole tables of runs", scans)
	}
	c.judgeLists(engine)
	engine.close()
	c.expectNobodyDead()
	c.conclude()
}

// judgeLateness expects things to happen soon after their time. They are never
// before it.
func (c *cluster) judgeLateness(name string, late []time.Duration) {
	times := percentilesOf(late)
	c.verdict.Times[name] = times
	if times.Min < 0 {
		c.brokenly("%s: %v ms, which is before its time", name, times.Min)
	}
	if *full && times.P99 > milliseconds(mostLate) {
		c.brokenly("%s: %v ms at the 99th percentile; expected at most %v", name, times.P99, mostLate)
	}
}

// sweeps are the looks at what waits, in milliseconds of the server.
const sweeps = `
SELECT coalesce(sum(calls), 0)::bigint, coalesce(max(mean_exec_time), 0), coalesce(max(max_exec_time), 0)
FROM pg_stat_statements
WHERE userid = 'singularity'::regrole AND query LIKE '%queues (name)%heads%'`

func (c *cluster) judgeSweeps(admin *audit) {
	c.t.Helper()
	var calls int
	var mean, most float64
	if err := admin.pool.QueryRow(c.t.Context(), sweeps).Scan(&calls, &mean, &most); err != nil {
		c.t.Fatal(err)
	}
	c.verdict.Counts["sweeps"] = calls
	c.verdict.Figures["sweep_mean_ms"], c.verdict.Figures["sweep_most_ms"] = figureOf(mean), figureOf(most)
	if calls == 0 {
		c.invalidly("nobody looked at what waits")
	}
	if *full && mean > milliseconds(mostSweep) {
		c.brokenly("a look at what waits took %.2f ms on average; expected at most %v", mean, mostSweep)
	}
}

// judgeLists lists the queues a few times, as an operator does.
func (c *cluster) judgeLists(e *engine) {
	c.t.Helper()
	var took []time.Duration
	for range 5 {
		began := time.Now()
		list, err := e.Queues(c.t.Context())
		if err != nil || len(list) == 0 {
			c.t.Fatalf("list the queues: %v, %v", list, err)
		}
		took = append(took, time.Since(began))
	}
	times := percentilesOf(took)
	c.verdict.Times["queue_list"] = times
	if *full && times.P50 > milliseconds(mostListed) {
		c.brokenly("the list of the queues took %v ms; expected at most %v", times.P50, mostListed)
	}
}

// schedule adds runs that are due in the course of tomorrow.
func (c *cluster) schedule(admin *audit, rows int) {
	c.t.Helper()
	for _, statement := range []string{
		withoutHistory,
		fmt.Sprintf(laterRuns, rows),
		`VACUUM ANALYZE singularity.workflow_runs, singularity.step_checkpoints`,
	} {
		if _, err := admin.pool.Exec(c.t.Context(), statement); err != nil {
			c.t.Fatal(err)
		}
	}
}

const laterRuns = `
INSERT INTO singularity.workflow_runs
	(id, workflow, version, input_hash, state, queue, priority, due_at, sort_key, step, created_at, updated_at)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'load', 1, '', 'scheduled', 'default', 0, due.at, due.at, 'note', now(), now()
FROM generate_series(1, %[1]d) AS n
CROSS JOIN LATERAL (SELECT now() + interval '1 day' + n * interval '80 milliseconds') AS due (at);
INSERT INTO singularity.step_checkpoints (run_id, seq, input)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 0, '{"note":"later"}'
FROM generate_series(1, %[1]d) AS n;`
