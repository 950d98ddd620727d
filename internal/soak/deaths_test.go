package soak

const declaredDead = `SELECT count(*) FROM singularity.node_leases WHERE ended_by IN ('crashed', 'lapsed')`

// declaredDead counts the boots that others declared dead so far.
func (c *cluster) declaredDead() int {
	c.t.Helper()
	count, err := one[int](c.t.Context(), c.audit, declaredDead)
	if err != nil {
		c.t.Fatal(err)
	}
	return count
}

// deathsOfLiving are those of boots that were not killed, and of them those
// whose leases were over on the database's clock.
const deathsOfLiving = `
SELECT count(*), count(*) FILTER (WHERE ended_by = 'lapsed' AND lease_until <= ended_at)
FROM singularity.node_leases
WHERE ended_by IN ('crashed', 'lapsed') AND boot <> ALL ($1)`

// judgeDeaths expects that nobody was declared dead but who was killed, or had
// lost its lease.
func (c *cluster) judgeDeaths(killed []string) {
	c.t.Helper()
	var deaths, lapses int
	if err := c.audit.pool.QueryRow(c.t.Context(), deathsOfLiving, killed).Scan(&deaths, &lapses); err != nil {
		c.t.Fatal(err)
	}
	c.verdict.Counts["leases_lost_by_living"] = lapses
	if deaths > lapses {
		c.brokenly("%d nodes were declared dead that were alive and had a lease", deaths-lapses)
	}
	if declared := c.declaredDead(); declared != len(killed)+deaths {
		c.brokenly("%d nodes were declared dead; expected the %d that were killed, and %d that lost their lease", declared, len(killed), deaths)
	}
}

// expectDeaths is judgeDeaths where nothing has living nodes lose their leases
// but, in short, a machine that is busy with more than them.
func (c *cluster) expectDeaths(killed []string) {
	c.t.Helper()
	c.judgeDeaths(killed)
	if lapses := c.verdict.Counts["leases_lost_by_living"]; *full && lapses > 0 {
		c.brokenly("%d living nodes lost their leases", lapses)
	}
}

// expectNobodyDead is for scenarios in which no process died.
func (c *cluster) expectNobodyDead() {
	c.t.Helper()
	if declared := c.declaredDead(); declared > 0 {
		c.brokenly("%d nodes were declared dead that were alive", declared)
	}
}
