package postgres

import (
	"slices"
	"time"

	"singularity/persistence"
)

// takeTurns is one walk over the keys of a queue, from the one after $7 on and
// once around: each gives up to $9 of its due runs, if its limits let it, until
// there are $8. It does what persistence.Deal does, for many keys in one
// statement. Runs that somebody holds are passed over. OFFSET 0 keeps what is
// read for a key from being read again for each of its uses, and an object finds
// the count of a key where a join would read those of all.
var takeTurns = &statement{"take_turns", `
WITH RECURSIVE busy AS MATERIALIZED (
	SELECT coalesce(jsonb_object_agg(running.key, running.runs), '{}') AS runs
	FROM (
		SELECT coalesce(run.limit_key, '') AS key, count(*) AS runs
		FROM singularity.workflow_runs AS run
		WHERE run.state = 'running' AND run.queue = $5 AND $10::bigint > 0
		GROUP BY 1
	) AS running
), turn (key, wrapped, n, room, ids, tokens, wait, missed) AS (
	SELECT $7::text COLLATE "C", false, 0::bigint, $8::bigint, '{}'::uuid[], 0::double precision, NULL::double precision, false
	UNION ALL
	SELECT next.key, next.wrapped, turn.n + 1, turn.room - cardinality(heads.ids), heads.ids, bucket.tokens,
		CASE WHEN $11 > 0 AND bucket.tokens < 1 THEN (1 - bucket.tokens) / $11 END,
		CASE WHEN allowed.runs > cardinality(heads.ids) THEN EXISTS (
			SELECT
			FROM generate_series(0, 9) AS level (priority)
			CROSS JOIN LATERAL (SELECT FROM ` + dueWithKey + ` LIMIT 1) AS due
		) ELSE false END
	FROM turn
	CROSS JOIN LATERAL (
		SELECT candidate.key, candidate.wrapped
		FROM (
			(SELECT run.limit_key AS key, turn.wrapped FROM ` + keyedRuns + ` AND run.limit_key > turn.key ORDER BY run.limit_key LIMIT 1)
			UNION ALL
			(SELECT run.limit_key, true FROM ` + keyedRuns + ` AND NOT turn.wrapped ORDER BY run.limit_key LIMIT 1)
		) AS candidate
		ORDER BY candidate.wrapped
		LIMIT 1
	) AS next
	CROSS JOIN LATERAL (
		SELECT least($12, coalesce((
			SELECT bucket.tokens + greatest(extract(epoch FROM $13 - bucket.refilled_at)::double precision, 0) * $11
			FROM singularity.queue_buckets AS bucket
			WHERE bucket.queue = $5 AND bucket.keyed = true AND bucket.key = next.key
		), $12)) AS tokens
		OFFSET 0
	) AS bucket
	CROSS JOIN LATERAL (
		SELECT greatest(0, least($9::bigint, turn.room,
			CASE WHEN $10 > 0 THEN $10 - coalesce((SELECT (busy.runs ->> next.key)::bigint FROM busy), 0) END,
			CASE WHEN $11::double precision > 0 THEN floor(bucket.tokens)::bigint END)) AS runs
		OFFSET 0
	) AS allowed
	CROSS JOIN LATERAL (
		SELECT ARRAY(
			SELECT head.id
			FROM generate_series(0, 9) AS level (priority)
			CROSS JOIN LATERAL (
				SELECT run.id, run.sort_key
				FROM ` + dueWithKey + ` AND ` + knownDefinitions + `
				ORDER BY run.sort_key, run.id
				LIMIT allowed.runs
			) AS head
			ORDER BY head.sort_key, head.id
			LIMIT allowed.runs
		) AS ids
		OFFSET 0
	) AS heads
	WHERE turn.room > 0 AND turn.n < $14::bigint AND NOT (next.wrapped AND next.key > $7)
), picked AS MATERIALIZED (
	SELECT free.id
	FROM turn
	CROSS JOIN LATERAL unnest(turn.ids) AS head (id)
	CROSS JOIN LATERAL (
		SELECT run.id
		FROM singularity.workflow_runs AS run
		WHERE run.id = ANY (ARRAY[head.id]) AND (run.sort_key IS NOT NULL) IS TRUE
		FOR NO KEY UPDATE SKIP LOCKED
	) AS free
), taken AS (
	UPDATE singularity.workflow_runs AS run
	SET state = 'running', sort_key = NULL, owner = $3::text, claim_id = $4::text, epoch = run.epoch + 1,
		started_at = coalesce(run.started_at, now()), updated_at = now()
	FROM picked
	WHERE run.id = ANY (ARRAY[picked.id])
), charged AS (
	INSERT INTO singularity.queue_buckets (queue, keyed, key, tokens, refilled_at)
	SELECT $5, true, turn.key, turn.tokens - cardinality(turn.ids), $13
	FROM turn
	WHERE $11 > 0 AND cardinality(turn.ids) > 0
	ON CONFLICT (queue, keyed, key) DO UPDATE
	SET tokens = EXCLUDED.tokens, refilled_at = greatest(queue_buckets.refilled_at, EXCLUDED.refilled_at)
)
SELECT (SELECT count(*) FROM picked),
	sum(cardinality(turn.ids))::bigint,
	count(*) FILTER (WHERE cardinality(turn.ids) > 0),
	max(turn.n),
	coalesce((array_agg(turn.key ORDER BY turn.n DESC) FILTER (WHERE cardinality(turn.ids) > 0))[1], $7),
	(array_agg(turn.key ORDER BY turn.n DESC))[1],
	make_interval(secs => coalesce(min(turn.wait), 0)),
	bool_or(turn.missed)
FROM turn`}

// keyedRuns are the conditions that lead to the index that is made for them.
const keyedRuns = claimableRuns + ` AND run.limit_key IS NOT NULL AND run.queue = $5::text AND (run.crash_count >= 2) = $6::boolean`

// dueWithKey are the runs of a key and a priority that are due.
const dueWithKey = keyedRuns + ` AND run.limit_key = next.key AND run.priority = level.priority
				AND run.sort_key <= $13::timestamptz + level.priority * interval '1 minute'`

// walk is what takeTurns found.
type walk struct {
	taken, found int    // runs
	served       int    // keys
	walked       int    // keys
	turn, last   string // the last key that gave a run, and the last of all
	wait         time.Duration
	missed       bool
}

func (w *walk) scan(row scanner) error {
	return row.Scan(&w.taken, &w.found, &w.served, &w.walked, &w.turn, &w.last, &w.wait, &w.missed)
}

// deal gives the room in a queue to its keys by turns.
func (c *limitedClaim) deal() error {
	first := newPage(c.path)
	of := lane{c.write.Queue, c.write.Solo}
	if err := c.exchange(first.read(of, c.store.unkeyed.from(of), false)); err != nil {
		return err
	}
	if len(first.keys) > 0 {
		if err := c.exchange(first.write()); err != nil {
			return err
		}
		c.dirty = true
	}
	c.store.unkeyed.reached(of, first.next())
	known, err := definitions(c.write.Known)
	if err != nil {
		return err
	}
	rate := persistence.KeyRate(c.settings.QueueSettings)
	for each, walked := 1, 0; c.left > 0; {
		var found walk
		params := slices.Concat(known, [][]byte{
			textParam(string(c.write.Boot)), textParam(c.write.ID), textParam(c.write.Queue), boolParam(c.write.Solo),
			textParam(c.turn), int8Param(c.left), int8Param(each),
			int8Param(c.settings.KeyLimit), float8Param(rate.PerSecond), float8Param(rate.Burst), timeParam(c.now),
			int8Param(persistence.MaxKeysWalked - walked),
		})
		if err := c.exchange(query{takeTurns, params, found.scan}); err != nil {
			return err
		}
		walked += found.walked
		c.take(found.taken)
		c.turn, c.verdict.Wait, c.verdict.Left = found.turn, found.wait, found.missed
		switch {
		case walked >= persistence.MaxKeysWalked:
			c.turn, c.dirty = found.last, true
			c.verdict.Wait = persistence.WalkAgain
			return nil
		case found.taken < found.found: // somebody is about to end the others, or to take them
			c.verdict.Wait = persistence.WalkAgain
			return nil
		case found.taken == 0:
			return nil
		}
		each = max(1, c.left/found.served)
	}
	return nil
}
