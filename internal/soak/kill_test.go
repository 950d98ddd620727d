package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// takeoverBound is how long it may take, at the very most, until a run of a
// killed node has its next checkpoint.
const takeoverBound = 10 * time.Second

// TestKilledOwnersRunsGoOnElsewhere kills the owner of a step that is in
// flight, under load, while nodes meet in the database only.
func TestKilledOwnersRunsGoOnElsewhere(t *testing.T) {
	t.Parallel()
	newCluster(t, "kill").killOwners()
}

// TestKilledOwnersRunsGoOnAtOnce does it with nodes that have streams to each
// other.
func TestKilledOwnersRunsGoOnAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "kill, nodes that talk")
	c.talking = true
	c.killOwners()
}

func (c *cluster) killOwners() {
	c.t.Helper()
	c.launchSome(3)
	// Usually all who are left may judge. Some of them are enough.
	judges := 1
	if *full {
		judges = 2
	}
	c.awaitJudges(nil, judges)
	c.begin()
	load := c.startLoad(usualLoad())
	var takeovers []time.Duration
	var killed []string
	for range often(3, 100) {
		nodes := c.living()
		victim := nodes[rand.N(len(nodes))]
		c.awaitJudges(victim, judges)
		takeovers = append(takeovers, c.killInStep(victim))
		killed = append(killed, c.boot(victim))
		c.launch()
	}
	load.stop()
	c.verdict.Faults = len(takeovers)
	c.verdict.Times["kill_to_next_checkpoint"] = percentilesOf(takeovers)
	c.settle()
	c.noteTakeovers()
	c.expectDeaths(killed)
	c.conclude()
}

// nextCheckpoint is when the first of some runs had a checkpoint by another
// owner than the one before.
const nextCheckpoint = `
SELECT min(pg_xact_commit_timestamp(change.xid))
FROM soak.changes AS change
JOIN singularity.step_checkpoints AS entry ON entry.run_id = change.run AND entry.seq = change.seq
WHERE change.run = ANY ($1::uuid[]) AND change.seq > change.old_seq AND change.old_owner <> $2`

// killInStep kills a node while a step of it is in flight, and returns how long
// it took until one of its runs went on.
func (c *cluster) killInStep(victim *node) time.Duration {
	c.t.Helper()
	return c.loseInStep(victim, takeoverBound, victim.kill)
}

// loseInStep has a node lost while a step of it is in flight, and returns how
// long it took until one of its runs went on, which in full has a bound.
func (c *cluster) loseInStep(victim *node, bound time.Duration, lose func()) time.Duration {
	c.t.Helper()
	boot := c.boot(victim)
	hold := c.ledger.holdBack(func(e Effect) bool { return e.PID == victim.pid() })
	hold.await(c.t, fmt.Sprintf("a step of node %d", victim.pid()), 1)
	c.forget(victim)
	bound = inFull(bound)
	began := time.Now()
	lose()
	hold.release()
	next, missing := c.awaitNextCheckpoint(hold, boot, bound)
	if missing != "" {
		c.brokenly("%s after node %d was lost: %s", bound, victim.pid(), missing)
		return bound
	}
	return next.Sub(began)
}

// awaitNextCheckpoint returns when the first of the runs went on whose effects
// a hold kept from an owner that is gone. None of their rows has changed since,
// but by those who took over.
func (c *cluster) awaitNextCheckpoint(held *hold, owner string, bound time.Duration) (next time.Time, missing string) {
	c.t.Helper()
	var runs []string
	c.ledger.mu.Lock()
	for _, effect := range held.effects {
		runs = append(runs, effect.Run)
	}
	c.ledger.mu.Unlock()
	missing = awaitFor(c.t, bound, func(ctx context.Context) (string, error) {
		at, err := one[*time.Time](ctx, c.audit, nextCheckpoint, runs, owner)
		if err != nil || at == nil {
			return "no run of the lost node has gone on", err
		}
		next = *at
		return "", nil
	})
	return next, missing
}

// takeoverTimes are how long each takeover took, in milliseconds, to the
// declaration and, from there, until runs had an owner and went on.
const takeoverTimes = `
SELECT extract(epoch FROM declared_at - suspected_at)::float8 * 1000,
	extract(epoch FROM claimed_at - declared_at)::float8 * 1000,
	extract(epoch FROM resumed_at - declared_at)::float8 * 1000
FROM singularity.takeovers`

// noteTakeovers adds to the report what the nodes recorded themselves.
func (c *cluster) noteTakeovers() {
	c.t.Helper()
	rows, _ := c.audit.pool.Query(c.t.Context(), takeoverTimes)
	phases := []string{"takeover_suspected_to_declared", "takeover_declared_to_claimed", "takeover_declared_to_resumed"}
	times := make([][]time.Duration, len(phases))
	took := make([]*float64, len(phases))
	_, err := pgx.ForEachRow(rows, []any{&took[0], &took[1], &took[2]}, func() error {
		for i, millis := range took {
			if millis != nil { // it was seen
				times[i] = append(times[i], time.Duration(*millis*float64(time.Millisecond)))
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatalf("read the takeovers: %v", err)
	}
	for i, phase := range phases {
		c.verdict.Times[phase] = percentilesOf(times[i])
	}
}
