package soak

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// lastingOutage is longer than a lease.
const lastingOutage = 6 * time.Second

// TestDatabaseGoesAwayAndNobodyDies takes the database from nodes under load,
// in all ways in which it comes back by itself.
func TestDatabaseGoesAwayAndNobodyDies(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name        string
		short, long int
		happens     func(*cluster)
	}{
		{"database restarted", 1, 20, func(c *cluster) { c.server.Restart(c.t) }},
		{"database killed", 1, 20, func(c *cluster) { c.server.Kill9(c.t) }},
		{"backend killed", 1, 20, func(c *cluster) { c.server.KillBackend(c.t, c.someBackend()) }},
		{"database away for longer than a lease", 1, 5, func(c *cluster) {
			c.server.Stop(c.t)
			pass(c.t, lastingOutage)
			c.server.Start(c.t)
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, fault.name)
			c.launchSome(3)
			c.awaitJudges(nil, 3) // who cannot judge declares nobody dead anyway
			c.begin()
			load := c.startLoad(usualLoad())
			var outages []time.Duration
			for range often(fault.short, fault.long) {
				c.awaitJudges(nil, 3)
				began := time.Now()
				fault.happens(c)
				outages = append(outages, c.awaitProgress(began))
			}
			c.awaitRuns(50)
			load.stop()
			c.verdict.Faults = len(outages)
			c.verdict.Times["fault_to_next_checkpoint"] = percentilesOf(outages)
			c.settle()
			c.expectNobodyDead()
			c.conclude()
		})
	}
}

// someBackend is a session of a node that changes runs.
func (c *cluster) someBackend() uint32 {
	c.t.Helper()
	var pid uint32
	await(c.t, func(ctx context.Context) (missing string, err error) {
		pid, err = one[uint32](ctx, c.audit, `
SELECT coalesce(min(pid), 0)
FROM pg_stat_activity
WHERE application_name LIKE 'singularity/%' AND query ILIKE '%workflow_runs%'`)
		if pid == 0 {
			missing = "no session of a node changes runs"
		}
		return missing, err
	})
	return pid
}

// awaitProgress waits until a run has a new checkpoint and all nodes take work,
// and returns how long after the beginning of the fault the checkpoint was
// there.
func (c *cluster) awaitProgress(began time.Time) time.Duration {
	c.t.Helper()
	c.mended = time.Now()
	var progress time.Time
	await(c.t, func(ctx context.Context) (string, error) {
		at, err := one[*time.Time](ctx, c.audit,
			`SELECT min(noted_at) FROM soak.changes WHERE seq > old_seq AND noted_at > $1`, c.mended)
		if err != nil || at == nil {
			return "no run goes on", err
		}
		progress = *at
		return "", nil
	})
	for _, n := range c.living() {
		n.awaitReady()
	}
	return progress.Sub(began)
}

// awaitRuns waits until so many more runs have ended.
func (c *cluster) awaitRuns(more int) {
	c.t.Helper()
	since := time.Now()
	await(c.t, func(ctx context.Context) (string, error) {
		ended, err := one[int](ctx, c.audit,
			`SELECT count(*) FROM soak.changes WHERE noted_at > $1 AND state IN `+terminal, since)
		if err != nil || ended >= more {
			return "", err
		}
		return fmt.Sprintf("%d runs have ended since the fault, %d are wanted", ended, more), nil
	})
}
