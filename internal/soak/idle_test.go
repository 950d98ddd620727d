package soak

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity"
	"singularity/internal/testpostgres"
)

const (
	// settling is how long an engine takes to come to rest.
	settling = 15 * time.Second
	// mostOthers is how many statements there may be each second, beside the
	// renewal of the lease.
	mostOthers = 0.3
)

// TestIdleEngineLeavesTheDatabaseAlone counts what an engine without work asks
// of a database that is full of ended runs.
func TestIdleEngineLeavesTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	counting := usualServer()
	counting.Settings["shared_preload_libraries"] = "pg_stat_statements"
	c := newClusterOn(t, "idle", counting)
	admin := openAudit(t, c.server.AdminURL(testpostgres.Database))
	if _, err := admin.pool.Exec(t.Context(), `CREATE EXTENSION pg_stat_statements`); err != nil {
		t.Fatal(err)
	}
	rows, lasts := 20_000, 20*time.Second
	if *full {
		rows, lasts = 1_000_000, 3*time.Minute
	}
	c.fill(admin, rows)
	engine := c.openEngine(singularity.Config{DatabaseURL: c.url}, c.loadFlow(c.effectful("second")))
	c.begin()
	pass(t, settling)
	before := c.scans(admin)
	if _, err := admin.pool.Exec(t.Context(), `SELECT pg_stat_statements_reset()`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	pass(t, lasts)
	renewals, others := c.asked(admin)
	seconds := time.Since(began).Seconds()
	scans := c.scans(admin) - before
	engine.close()

	count := 0
	for _, calls := range others {
		count += calls
	}
	counts := c.verdict.Counts
	counts["rows"], counts["seconds"], counts["renewals"], counts["other_statements"], counts["sequential_scans"] = rows, int(seconds), renewals, count, scans
	if each := float64(renewals) / seconds; each < 0.8 || each > 1.2 {
		c.brokenly("%d renewals in %.0f s; expected one a second", renewals, seconds)
	}
	if float64(count)/seconds > mostOthers {
		c.brokenly("%d statements in %.0f s beside the renewals; expected at most %.1f a second: %v", count, seconds, mostOthers, others)
	}
	if scans > 0 {
		c.brokenly("%d scans of whole tables of runs", scans)
	}
	c.expectNobodyDead()
	c.conclude()
}

// fill adds runs that have just completed. Nothing notes their history.
func (c *cluster) fill(admin *audit, rows int) {
	c.t.Helper()
	if _, err := admin.pool.Exec(c.t.Context(), fmt.Sprintf(endedRuns, rows)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := admin.pool.Exec(c.t.Context(), `VACUUM ANALYZE singularity.workflow_runs, singularity.step_checkpoints`); err != nil {
		c.t.Fatal(err)
	}
}

const endedRuns = `
SET LOCAL session_replication_role = replica;
INSERT INTO singularity.workflow_runs
	(id, workflow, version, input_hash, state, queue, priority, due_at, step, created_at, started_at, finished_at, updated_at)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'load', 1, '', 'completed', 'default', 0, now(), '', now(), now(), now(), now()
FROM generate_series(1, %[1]d) AS n;
INSERT INTO singularity.step_checkpoints (run_id, seq, input)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 0, '{"note":"ended"}'
FROM generate_series(1, %[1]d) AS n;`

// scans counts the times that a whole table of runs was read.
func (c *cluster) scans(admin *audit) int {
	c.t.Helper()
	count, err := one[int](c.t.Context(), admin, `
SELECT sum(seq_scan) FROM pg_stat_user_tables
WHERE schemaname = 'singularity' AND relname IN ('workflow_runs', 'step_checkpoints')`)
	if err != nil {
		c.t.Fatal(err)
	}
	return count
}

// asked counts the renewals of leases, and what else there was of statements.
func (c *cluster) asked(admin *audit) (renewals int, others map[string]int) {
	c.t.Helper()
	rows, err := admin.pool.Query(c.t.Context(), `
SELECT query, calls
FROM pg_stat_statements
WHERE userid = 'singularity'::regrole AND toplevel`)
	if err != nil {
		c.t.Fatal(err)
	}
	others = map[string]int{}
	var query string
	var calls int
	_, err = pgx.ForEachRow(rows, []any{&query, &calls}, func() error {
		if strings.Contains(query, "SET renewals = renewals + ") {
			renewals += calls
		} else {
			others[query] += calls
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return renewals, others
}
