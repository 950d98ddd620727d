package soak

import "fmt"

// breach is one case in which an invariant did not hold.
type breach struct {
	Invariant string `json:"invariant"`
	Run       string `json:"run"`
	Detail    string `json:"detail"`
}

func (b breach) String() string { return fmt.Sprintf("%s: run %s %s", b.Invariant, b.Run, b.Detail) }

// invariant is what holds whatever happens. Its query finds the breaches: the
// run, and what is wrong.
type invariant struct{ name, query string }

const noStaleWrite = "a checkpoint is written by the owner of that moment"

const terminal = `('completed', 'failed', 'cancelled', 'quarantined')`

var endsOnce = invariant{"a run ends once", `
SELECT run::text, 'ended ' || count(*) || ' times'
FROM soak.changes
WHERE state IN ` + terminal + `
GROUP BY run
HAVING count(*) <> 1`}

var invariants = []invariant{
	{"an acknowledged run is there and ends", `
SELECT start.run::text, coalesce('is ' || run.state, 'is not there')
FROM soak.starts AS start
LEFT JOIN singularity.workflow_runs AS run ON run.id = start.run
WHERE start.outcome = 'acknowledged' AND (run.state IN ` + terminal + `) IS NOT TRUE
	AND start.run NOT IN (SELECT run FROM soak.lost_runs)`},

	{"a start that was refused left no run", `
SELECT start.run::text, 'is ' || run.state
FROM soak.starts AS start
JOIN singularity.workflow_runs AS run ON run.id = start.run
WHERE start.outcome = 'refused'`},

	{"a run of good steps completes", `
SELECT id::text, 'is ' || state || ': ' || coalesce(error, reason, '')
FROM singularity.workflow_runs
WHERE workflow IN ('load', 'limited') AND state IN ` + terminal + ` AND state <> 'completed'`},

	{"a completed run has a checkpoint of every step", `
SELECT run.id::text, 'has none of ' || step.step
FROM singularity.workflow_runs AS run
JOIN soak.steps AS step USING (workflow)
WHERE run.state = 'completed' AND NOT EXISTS (
	SELECT FROM singularity.step_checkpoints AS done
	WHERE done.run_id = run.id AND done.step = step.step AND done.outcome = 'completed')`},

	{"a step has one checkpoint", `
SELECT run_id::text, 'has ' || count(*) || ' of ' || step
FROM singularity.step_checkpoints
WHERE outcome = 'completed'
GROUP BY run_id, step, turn
HAVING count(*) > 1`},

	{"a sequence number is used once", `
SELECT run_id::text, 'has ' || count(*) || ' entries ' || seq
FROM singularity.step_checkpoints
GROUP BY run_id, seq
HAVING count(*) > 1`},

	{"a checkpoint never changes", `
SELECT run::text, verb || ' of entry ' || seq
FROM soak.alterations`},

	{"a checkpoint follows an effect", `
SELECT done.run_id::text, 'has a checkpoint of ' || done.step || ' that had no effect'
FROM singularity.step_checkpoints AS done
WHERE done.outcome = 'completed' AND NOT EXISTS (
	SELECT FROM soak.effects AS effect WHERE effect.run = done.run_id AND effect.step = done.step)`},

	{"epochs never go down", `
SELECT run::text, 'went from epoch ' || before || ' to ' || epoch
FROM (
	SELECT run, epoch, greatest(old_epoch, lag(epoch) OVER (PARTITION BY run ORDER BY pg_xact_commit_timestamp(xid), n)) AS before
	FROM soak.changes
) AS change
WHERE epoch < before`},

	{"an epoch has one owner", `
SELECT run::text, 'has ' || count(DISTINCT owner) || ' owners in epoch ' || epoch
FROM soak.changes
WHERE owner IS NOT NULL AND state = 'running'
GROUP BY run, epoch
HAVING count(DISTINCT owner) > 1`},

	{"no checkpoint is of an epoch before an earlier one's", `
SELECT run_id::text, 'has entry ' || seq || ' of epoch ' || epoch || ' after one of ' || before
FROM (
	SELECT run_id, seq, epoch, lag(epoch) OVER (PARTITION BY run_id ORDER BY seq) AS before
	FROM singularity.step_checkpoints
) AS entry
WHERE epoch < before`},

	{noStaleWrite, `
SELECT entry.run_id::text, 'has entry ' || entry.seq || ' of ' || entry.owner || ' in epoch ' || entry.epoch ||
	', when it was ' || change.old_state || ' with ' || coalesce(change.old_owner, 'nobody') || ' in epoch ' || change.old_epoch
FROM singularity.step_checkpoints AS entry
JOIN soak.changes AS change ON change.run = entry.run_id AND change.seq = entry.seq AND change.old_seq = entry.seq - 1
WHERE (entry.epoch, entry.owner, 'running') IS DISTINCT FROM (change.old_epoch, change.old_owner, change.old_state)`},

	{"a terminal state never changes", `
SELECT run::text, 'went from ' || old_state || ' to ' || state || ', epoch ' || old_epoch || ' to ' || epoch
FROM soak.changes
WHERE old_state IN ` + terminal},

	{"a running run has a living owner", `
SELECT run.id::text, 'runs with ' || coalesce(run.owner, 'nobody')
FROM singularity.workflow_runs AS run
WHERE run.state = 'running' AND NOT EXISTS (
	SELECT FROM singularity.node_leases AS boot WHERE boot.boot = run.owner AND boot.ended_at IS NULL)`},

	{"a step runs again only for a failed attempt or a lost owner", `
SELECT executed.run::text, format('ran %s %s times, with %s failed attempts and %s losses of its owner',
	executed.step, executed.times, failed.times, losses.times)
FROM (
	SELECT run, step, count(*) AS times FROM soak.effects GROUP BY run, step
) AS executed
CROSS JOIN LATERAL (
	SELECT count(*) AS times
	FROM singularity.step_checkpoints AS entry
	WHERE entry.run_id = executed.run AND entry.step = executed.step AND entry.outcome = 'failed'
) AS failed
CROSS JOIN LATERAL (
	SELECT count(*) AS times
	FROM soak.changes AS change
	WHERE change.run = executed.run AND change.old_step = executed.step AND change.old_state = 'running'
		AND change.epoch > change.old_epoch AND NOT EXISTS (
			SELECT FROM singularity.step_checkpoints AS entry
			WHERE entry.run_id = change.run AND entry.seq = change.seq AND change.seq > change.old_seq)
) AS losses
CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE lost.step = executed.step) + least(count(*), 1) AS times
	FROM soak.lost_checkpoints AS lost
	WHERE lost.run = executed.run
) AS lost
WHERE executed.times > 1 + failed.times + losses.times + lost.times
	AND executed.run NOT IN (SELECT run FROM soak.lost_runs)`},

	{"a step has one idempotency key", `
SELECT min(run::text), 'has ' || count(DISTINCT key) || ' keys for ' || step
FROM soak.effects
GROUP BY run, step
HAVING count(DISTINCT key) > 1`},

	{"an idempotency key is of one step", `
SELECT min(run::text), 'shares key ' || key
FROM soak.effects
GROUP BY key
HAVING count(DISTINCT (run, step)) > 1`},
}
