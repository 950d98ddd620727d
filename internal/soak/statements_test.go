package soak

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
)

// newCountedCluster is newCluster with a server that counts its statements, and
// the superuser's way to the counts.
func newCountedCluster(t *testing.T, scenario string) (c *cluster, admin *audit) {
	t.Helper()
	counting := usualServer()
	counting.Settings["shared_preload_libraries"] = "pg_stat_statements"
	c = newClusterOn(t, scenario, counting)
	admin = openAudit(t, c.server.AdminURL(testpostgres.Database))
	if _, err := admin.pool.Exec(t.Context(), `CREATE EXTENSION pg_stat_statements`); err != nil {
		t.Fatal(err)
	}
	return c, admin
}

// forgetStatements begins to count anew.
func (c *cluster) forgetStatements(admin *audit) {
	c.t.Helper()
	if _, err := admin.pool.Exec(c.t.Context(), `SELECT pg_stat_statements_reset()`); err != nil {
		c.t.Fatal(err)
	}
}

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
