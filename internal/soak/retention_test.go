package soak

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"singularity"
	"singularity/internal/testpostgres"
	"singularity/persistence"
	"singularity/workflow"
)

const (
	// shortAge is how long runs are kept here; they are looked after twice as often.
	shortAge = 4 * time.Second
	// thirds are the parts of the time that are held against each other.
	thirds = 3
)

// sizes are what the tables of runs take at one time.
type sizes struct {
	At                 int // seconds since the load began
	Runs, Checkpoints  int // rows that are there
	DeadRuns, DeadMore int // rows that are not, as Postgres knows, of runs and of checkpoints
	RunsKB, MoreKB     int // with all indexes
}

const selectSizes = `
SELECT (SELECT count(*) FROM singularity.workflow_runs), (SELECT count(*) FROM singularity.step_checkpoints),
	sum(n_dead_tup) FILTER (WHERE relname = 'workflow_runs'), sum(n_dead_tup) FILTER (WHERE relname = 'step_checkpoints'),
	pg_total_relation_size('singularity.workflow_runs') / 1024, pg_total_relation_size('singularity.step_checkpoints') / 1024
FROM pg_stat_user_tables
WHERE schemaname = 'singularity'`

// TestTablesStaySmallUnderSteadyLoad runs some thousands of runs a minute,
// keeps each for a few seconds and looks how large the tables become.
func TestTablesStaySmallUnderSteadyLoad(t *testing.T) {
	t.Parallel()
	server := usualServer()
	lasts, every := 10*time.Second, time.Second
	if *full {
		lasts, every = 6*time.Minute, 10*time.Second
	} else {
		server.Settings["autovacuum_naptime"] = "2s"
	}
	c := newClusterOn(t, "steady load, kept for seconds", server)
	admin := openAudit(t, c.server.AdminURL(testpostgres.Database))
	if _, err := admin.pool.Exec(t.Context(), withoutHistory); err != nil {
		t.Fatal(err)
	}
	step := func(name string) workflow.Step[order] {
		return workflow.Do(name, func(context.Context, *order) error { return nil })
	}
	flow := workflow.Define("load", accept, conclude, step("first"), step("second"), step("third"))
	policy := persistence.RetentionPolicy{RetentionAges: persistence.RetentionAges{Completed: shortAge}}
	engine := c.openEngine(singularity.Config{DatabaseURL: c.url, Retention: policy}, flow)
	c.begin()
	load := c.startSteady(engine, flow, usualLoad())
	var seen []sizes
	for began := time.Now(); time.Since(began) < lasts || len(seen) < thirds; pass(t, every) {
		s := sizes{At: int(time.Since(began).Seconds())}
		err := admin.pool.QueryRow(t.Context(), selectSizes).Scan(&s.Runs, &s.Checkpoints, &s.DeadRuns, &s.DeadMore, &s.RunsKB, &s.MoreKB)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", s)
		seen = append(seen, s)
	}
	started := load.stop()
	c.verdict.CPU = c.cpu.share(readCPU())
	c.awaitEmpty()
	c.judgeSizes(seen, started, usualLoad())
	c.expectNobodyDead()
	engine.close()
	c.conclude()
}

// The triggers that note the history would be most of the work.
const withoutHistory = `
ALTER TABLE singularity.workflow_runs DISABLE TRIGGER USER;
ALTER TABLE singularity.step_checkpoints DISABLE TRIGGER USER`

// awaitEmpty waits until no run is kept any more.
func (c *cluster) awaitEmpty() {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (missing string, err error) {
		left, err := one[int](ctx, c.audit, `SELECT count(*) FROM singularity.workflow_runs WHERE workflow = 'load'`)
		if left > 0 {
			missing = fmt.Sprintf("%d runs are there after all have ended", left)
		}
		return missing, err
	})
}

// judgeSizes expects, in full, no more rows than the load makes in a few ages,
// and tables that no longer grow: in short there is no time for vacuums, and how
// many runs end is up to the machine.
func (c *cluster) judgeSizes(seen []sizes, started, perSecond int) {
	runs := func(s sizes) int { return s.Runs }
	most := func(of []sizes, what func(sizes) int) int {
		return what(slices.MaxFunc(of, func(a, b sizes) int { return what(a) - what(b) }))
	}
	counts := c.verdict.Counts
	counts["runs_started"], counts["runs_there_at_most"] = started, most(seen, runs)
	third := len(seen) / thirds
	middle, last := seen[third:2*third], seen[2*third:]
	for name, what := range map[string]func(sizes) int{
		"runs_kb":          func(s sizes) int { return s.RunsKB },
		"runs_dead":        func(s sizes) int { return s.DeadRuns },
		"checkpoints":      func(s sizes) int { return s.Checkpoints },
		"checkpoints_kb":   func(s sizes) int { return s.MoreKB },
		"checkpoints_dead": func(s sizes) int { return s.DeadMore },
	} {
		counts[name+"_middle"], counts[name+"_last"] = most(middle, what), most(last, what)
	}
	// A stall of the disk lets more of them gather, for once.
	usual := slices.SortedFunc(slices.Values(last), func(a, b sizes) int { return a.Runs - b.Runs })[len(last)/2].Runs
	counts["runs_there_usually"] = usual
	if !*full {
		return
	}
	const slack = 4 // seconds that a retention may take, on a busy machine
	if bound := perSecond * (int(shortAge.Seconds()*1.5) + slack); usual > bound {
		c.brokenly("%d runs are there, of %d; expected at most %d", usual, started, bound)
	}
	if started < perSecond*seen[len(seen)-1].At/2 {
		c.invalidly("%d runs were started in %d seconds, not %d a second", started, seen[len(seen)-1].At, perSecond)
	}
	for _, size := range []string{"runs_kb", "checkpoints_kb"} {
		if middle, last := counts[size+"_middle"], counts[size+"_last"]; last > middle+middle/4 {
			c.brokenly("%s grows on: %d in the middle third, %d in the last", size, middle, last)
		}
	}
}

// steady is a load of an engine.
type steady struct {
	*load
	started atomic.Int64
}

func (c *cluster) startSteady(e *engine, flow *workflow.Workflow[order, receipt], perSecond int) *steady {
	s := &steady{load: c.newLoad()}
	start := func() {
		if _, err := flow.Start(c.t.Context(), e, order{"steady"}); err != nil {
			c.t.Errorf("start a run: %v", err)
			return
		}
		s.started.Add(1)
	}
	s.repeat(time.Second/time.Duration(perSecond), func() { s.clients.Go(start) })
	return s
}

// stop starts no more, and returns how many were.
func (s *steady) stop() int {
	s.load.stop()
	return int(s.started.Load())
}
