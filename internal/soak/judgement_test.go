package soak

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// brokenly notes what must not be, beside the invariants.
func (c *cluster) brokenly(format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf(format, args...))
}

// invalidly notes that a fault did not happen as it should.
func (c *cluster) invalidly(format string, args ...any) {
	c.invalid = append(c.invalid, fmt.Sprintf(format, args...))
}

// key is what the report has something under.
func key(format string, args ...any) string {
	return strings.ReplaceAll(fmt.Sprintf(format, args...), " ", "_")
}

// note adds how long something took to what the report has of it.
func (c *cluster) note(what string, took time.Duration) {
	c.took[what] = append(c.took[what], took)
	c.verdict.Times[what] = percentilesOf(c.took[what])
}

// begin is called when the nodes are there and the faults begin.
func (c *cluster) begin() { c.cpu = readCPU() }

// settle waits for the end of all runs, ends the nodes and looks for breaches of
// the usual invariants and of more.
func (c *cluster) settle(more ...invariant) {
	c.t.Helper()
	c.awaitEnds()
	c.verdict.CPU = c.cpu.share(readCPU())
	c.stopNodes()
	c.searchBreaches(more...)
	c.count()
}

// stopNodes ends the nodes that are left, in order.
func (c *cluster) stopNodes() {
	c.t.Helper()
	for _, n := range c.living() {
		c.forget(n)
		n.drain()
	}
}

// conclude fails the test unless the scenario has passed.
func (c *cluster) conclude() {
	c.t.Helper()
	v := c.verdict
	v.Seconds = time.Since(c.began).Round(time.Millisecond).Seconds()
	v.Faulty = slices.Concat(c.broken, c.invalid)
	switch {
	case len(v.Breaches)+len(c.broken) > 0:
		v.Verdict = broken
	case len(c.invalid) > 0:
		v.Verdict = invalid
	default:
		v.Verdict = passed
	}
	for _, b := range v.Breaches {
		c.t.Error(b)
	}
	for _, faulty := range v.Faulty {
		c.t.Errorf("%s: %s", v.Verdict, faulty)
	}
	c.t.Logf("%s: %d faults, CPU %.2f, %v, %+v, %v", v.Verdict, v.Faults, v.CPU, v.Counts, v.Times, v.Figures)
}

// searchBreaches looks for breaches of the usual invariants and of more.
func (c *cluster) searchBreaches(more ...invariant) {
	c.t.Helper()
	ctx := c.t.Context()
	if err := c.audit.take(ctx, evidence{starts: c.starts.all(), effects: c.ledger.all()}); err != nil {
		c.t.Fatal(err)
	}
	breaches, err := c.audit.breaches(ctx, more...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.verdict.Breaches = breaches
}

// count notes how much there was.
func (c *cluster) count() {
	c.t.Helper()
	effects, keys := c.ledger.all(), map[string]bool{}
	for _, effect := range effects {
		keys[effect.Key] = true
	}
	counts, told := c.verdict.Counts, map[outcome]int{}
	for _, known := range c.starts.all() {
		told[known]++
	}
	counts["runs_acknowledged"], counts["starts_unknown"], counts["starts_refused"] = told[acknowledged], told[unknown], told[refused]
	counts["calls_refused_or_lost"] = c.starts.refused
	counts["effects"] = len(effects)
	counts["effects_repeated"] = len(effects) - len(keys)
	counts["nodes_declared_dead"] = c.declaredDead()
	counts["stale_writes_accepted"] = 0
	for _, b := range c.verdict.Breaches {
		if b.Invariant == noStaleWrite {
			counts["stale_writes_accepted"]++
		}
	}
}
