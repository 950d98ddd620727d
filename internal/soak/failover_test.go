package soak

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
)

// TestStandbyTakesOverAndNobodyDies kills a primary for good under load and
// promotes its standby, which may lack the last that was acknowledged.
func TestStandbyTakesOverAndNobodyDies(t *testing.T) {
	t.Parallel()
	for round := range often(1, 5) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := newCluster(t, fmt.Sprintf("failover %d", round))
			standby := c.server.Standby(t)
			c.awaitStreaming()
			// Nodes come to know the new primary by themselves, or by a proxy.
			switched := newProxy(t, c.server.Addr())
			c.launchAt(bothHosts(t, c.url, standby.URL(testpostgres.Database)), nil)
			c.launchAt(bothHosts(t, c.url, standby.URL(testpostgres.Database)), nil)
			c.launchAt(c.server.URLVia(switched.address(), testpostgres.Database), nil)
			c.awaitJudges(nil, 3)
			c.begin()
			load := c.startLoad(usualLoad())
			c.awaitProgress(time.Now())

			began := time.Now()
			c.server.Crash(t)
			standby.Promote(t)
			switched.lead(standby.Addr())
			c.audit = openAudit(t, standby.URL(testpostgres.Database))
			outage := c.awaitProgress(began)
			c.awaitRuns(50)
			c.awaitJudges(nil, 3) // and declare nobody dead
			load.stop()
			c.verdict.Faults = 1
			c.verdict.Times["fault_to_next_checkpoint"] = percentilesOf([]time.Duration{outage})

			c.awaitQuiet()
			c.stopNodes() // before the old primary is back
			c.server.Start(t)
			c.noteLost(openAudit(t, c.url))
			c.settle()
			c.expectNobodyDead()
			c.conclude()
		})
	}
}

// awaitStreaming waits until the standby is up to date.
func (c *cluster) awaitStreaming() {
	c.t.Helper()
	admin := openAudit(c.t, c.server.AdminURL(testpostgres.Database))
	await(c.t, func(ctx context.Context) (string, error) {
		streaming, err := one[bool](ctx, admin, `
SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_lsn())`)
		if streaming {
			return "", err
		}
		return "no standby streams", err
	})
}

// awaitQuiet waits until no run has anything left to do.
func (c *cluster) awaitQuiet() {
	c.t.Helper()
	await(c.t, func(ctx context.Context) (string, error) {
		left, err := one[int](ctx, c.audit, `SELECT count(*) FROM singularity.workflow_runs WHERE state NOT IN `+terminal)
		if err != nil || left == 0 {
			return "", err
		}
		return fmt.Sprintf("%d runs have not ended", left), nil
	})
}

// bothHosts is a URL that leads to the one of two servers that takes writes.
func bothHosts(t testing.TB, first, second string) string {
	t.Helper()
	merged, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse(second)
	if err != nil {
		t.Fatal(err)
	}
	query := merged.Query()
	for _, name := range []string{"host", "port"} {
		query.Set(name, query.Get(name)+","+other.Query().Get(name))
	}
	query.Set("target_session_attrs", "read-write")
	merged.RawQuery = query.Encode()
	return merged.String()
}

// noteLost compares the new primary with the old one, and notes what it never
// got.
func (c *cluster) noteLost(old *audit) {
	c.t.Helper()
	ctx := c.t.Context()
	had, err := list[string](ctx, old, `SELECT id::text FROM singularity.workflow_runs`)
	if err != nil {
		c.t.Fatal(err)
	}
	entries, err := readEntries(ctx, old)
	if err != nil {
		c.t.Fatal(err)
	}
	runs, err := list[string](ctx, c.audit, `
INSERT INTO soak.lost_runs
SELECT id FROM unnest($1::text[]::uuid[]) AS had (id)
WHERE id NOT IN (SELECT id FROM singularity.workflow_runs)
RETURNING run::text`, had)
	if err != nil {
		c.t.Fatal(err)
	}
	checkpoints, err := list[string](ctx, c.audit, `
INSERT INTO soak.lost_checkpoints
SELECT had.run::uuid, had.step
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[]) AS had (run, seq, epoch, owner, step)
WHERE NOT EXISTS (
	SELECT FROM singularity.step_checkpoints AS entry
	WHERE entry.run_id = had.run::uuid AND entry.seq = had.seq AND entry.epoch = had.epoch AND entry.owner = had.owner)
RETURNING run::text`, entries.runs, entries.seqs, entries.epochs, entries.owners, entries.steps)
	if err != nil {
		c.t.Fatal(err)
	}
	c.verdict.Counts["runs_that_the_standby_never_had"] = len(runs)
	c.verdict.Counts["checkpoints_that_the_standby_never_had"] = len(checkpoints)
}

// entries are checkpoints, column by column.
type entries struct {
	runs, owners, steps []string
	seqs, epochs        []int64
}

func readEntries(ctx context.Context, a *audit) (all entries, err error) {
	rows, err := a.pool.Query(ctx, `SELECT run_id::text, seq, epoch, owner, step FROM singularity.step_checkpoints WHERE seq > 0`)
	if err != nil {
		return all, err
	}
	var run, owner, step string
	var seq, epoch int64
	_, err = pgx.ForEachRow(rows, []any{&run, &seq, &epoch, &owner, &step}, func() error {
		all.runs, all.owners, all.steps = append(all.runs, run), append(all.owners, owner), append(all.steps, step)
		all.seqs, all.epochs = append(all.seqs, seq), append(all.epochs, epoch)
		return nil
	})
	return all, err
}
