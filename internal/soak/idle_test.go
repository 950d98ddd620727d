package soak

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"singularity"
)

const (
	// settling is how long an engine takes to come to rest, whatever the machine.
	settling = 10 * time.Second
	// mostOthers is how many statements a node may ask each second, beside the
	// renewal of its lease.
	mostOthers = 0.3
)

// TestIdleEngineLeavesTheDatabaseAlone counts what an engine without work asks
// of a database that is full of ended runs.
func TestIdleEngineLeavesTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	c, admin := newCountedCluster(t, "idle")
	c.fill(admin)
	engine := c.openEngine(singularity.Config{DatabaseURL: c.url}, c.loadFlow(c.effectful("second")))
	c.countIdle(admin, 1, 15*time.Second, 3*time.Minute)
	engine.close()
	c.expectNobodyDead()
	c.conclude()
}

// TestIdleClusterLeavesTheDatabaseAlone does it with three nodes that have
// streams to each other.
func TestIdleClusterLeavesTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	c, admin := newCountedCluster(t, "idle, nodes that talk")
	c.talking = true
	c.fill(admin)
	c.launchSome(3)
	c.awaitStreams()
	c.countIdle(admin, 3, 10*time.Second, 2*time.Minute)
	c.stopNodes()
	c.expectNobodyDead()
	c.conclude()
}

// countIdle lets some nodes come to rest and counts what they ask then, for a
// time: a short one or, in full, a long one.
func (c *cluster) countIdle(admin *audit, nodes int, lasts, inFull time.Duration) {
	c.t.Helper()
	if *full {
		lasts = inFull
	}
	c.begin()
	pass(c.t, settling)
	before := c.scans(admin)
	c.forgetStatements(admin)
	began := time.Now()
	pass(c.t, lasts)
	renewals, others := c.asked(admin)
	seconds := time.Since(began).Seconds()
	scans := c.scans(admin) - before

	count := 0
	for _, calls := range others {
		count += calls
	}
	for query, calls := range others {
		c.t.Logf("beside the renewals, %d times: %.200s", calls, strings.Join(strings.Fields(query), " "))
	}
	counts := c.verdict.Counts
	counts["seconds"], counts["renewals"], counts["other_statements"], counts["sequential_scans"] = int(seconds), renewals, count, scans
	if each := float64(renewals) / seconds / float64(nodes); *full && each < 0.8 || each > 1.2 {
		c.brokenly("%d renewals in %.0f s; expected one a second and node", renewals, seconds)
	}
	most := mostOthers
	if !*full {
		most *= 2 // what comes once a minute is much of a short time
	}
	if float64(count)/seconds/float64(nodes) > most {
		c.brokenly("%d statements in %.0f s beside the renewals; expected at most %.1f a second and node: %v", count, seconds, most, others)
	}
	if scans > 0 {
		c.brokenly("%d scans of whole tables of runs", scans)
	}
}

// fill adds runs that have just completed. Nothing notes their history.
func (c *cluster) fill(admin *audit) {
	c.t.Helper()
	rows := 20_000
	if *full {
		rows = 1_000_000
	}
	c.verdict.Counts["rows"] = rows
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
