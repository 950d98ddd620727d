package soak

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// slowLoad is how many runs are started per second: fewer than slow commits
// let through.
const slowLoad = 30

// TestSlowCommitsLookLikeNoDeath makes each commit of runs take half a second.
func TestSlowCommitsLookLikeNoDeath(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "slow commits")
	c.launchSome(3)
	c.awaitJudges(nil, 3)
	c.begin()
	load := c.startLoad(slowLoad)
	if _, err := c.audit.pool.Exec(t.Context(), slowCommits); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	pass(t, time.Duration(often(5, 60))*time.Second)
	await(t, func(ctx context.Context) (missing string, err error) {
		if c.verdict.Faults, err = one[int](ctx, c.audit, countSlow, began); c.verdict.Faults < 10 {
			missing = fmt.Sprintf("%d commits took half a second, expected 10 at least", c.verdict.Faults)
		}
		return missing, err
	})
	load.stop()
	c.settle()
	c.expectNobodyDead()
	c.conclude()
}

const countSlow = `SELECT count(*) FROM soak.slow_commits WHERE took >= interval '500 ms' AND noted_at > $1`

// slowCommits makes each transaction that changes runs wait at its end.
const slowCommits = `
CREATE TABLE soak.slow_commits (noted_at timestamptz NOT NULL, took interval NOT NULL);

CREATE FUNCTION soak.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	IF current_setting('soak.dawdled', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
		PERFORM set_config('soak.dawdled', pg_current_xact_id()::text, true);
		PERFORM pg_sleep(0.5);
		INSERT INTO soak.slow_commits VALUES (began, clock_timestamp() - began);
	END IF;
	RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER soak_dawdle AFTER INSERT OR UPDATE ON singularity.workflow_runs
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION soak.dawdle();`
