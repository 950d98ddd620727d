package postgres

import (
	"context"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

// lanesOf are what the index keeps apart in a queue.
const lanesOf = `(VALUES (false), (true)) AS lane (alone)
		CROSS JOIN generate_series(0, 9) AS level (priority)`

// dueInLane and laterInLane are the runs of a lane. A run is due by its place:
// whatever it was stored as, it waits for a slot then.
const (
	inLane = claimableRuns + ` AND run.queue = queues.name AND (run.crash_count >= 2) = lane.alone
				AND run.priority = level.priority AND run.sort_key `
	dueInLane   = inLane + `<= now() + level.priority * interval '1 minute'`
	laterInLane = inLane + `> now() + level.priority * interval '1 minute'`
)

// However many wait, the index is walked over up to a bound, $1, for what is due
// and for what is due later. The state is not in it: $2 runs are looked up.
const queueStats = `
WITH RECURSIVE
	` + waitingQueues + `,
	unfinished AS (
		SELECT queues.name AS queue,
			(
				SELECT count(*)
				FROM (
					SELECT FROM ` + lanesOf + `
					CROSS JOIN LATERAL (SELECT FROM ` + dueInLane + ` LIMIT $1::bigint) AS run
					LIMIT $1
				) AS due
			) AS available,
			0 AS running,
			(
				SELECT count(*)
				FROM (
					SELECT FROM ` + lanesOf + `
					CROSS JOIN LATERAL (SELECT FROM ` + laterInLane + ` LIMIT $1) AS run
					LIMIT $1
				) AS later
			) AS later,
			(
				SELECT count(*)
				FROM (
					SELECT run.state FROM ` + lanesOf + `
					CROSS JOIN LATERAL (SELECT run.state FROM ` + laterInLane + ` ORDER BY run.sort_key LIMIT $2::bigint) AS run
					LIMIT $2
				) AS next
				WHERE next.state = 'retryable'
			) AS retryable,
			(
				SELECT max(now() + level.priority * interval '1 minute' - head.sort_key) FROM ` + lanesOf + `
				CROSS JOIN LATERAL (SELECT run.sort_key FROM ` + dueInLane + ` ORDER BY run.sort_key LIMIT 1) AS head
			) AS oldest
		FROM queues
		WHERE queues.name IS NOT NULL
		UNION ALL
		SELECT run.queue, 0, count(*), 0, 0, NULL
		FROM singularity.workflow_runs AS run
		WHERE run.state = 'running'
		GROUP BY run.queue
	)
SELECT queue, sum(available)::bigint, sum(running)::bigint, (sum(later) - sum(retryable))::bigint, sum(retryable)::bigint,
	coalesce(max(oldest), interval '0')
FROM unfinished
GROUP BY queue
ORDER BY queue`

// mostLookedUp is how many runs of a queue are looked up for their state. Those
// between two attempts are due soon.
const mostLookedUp = 10_000

// QueueStats implements [persistence.Queues].
func (s *Store) QueueStats(ctx context.Context) ([]persistence.QueueStats, error) {
	var list []persistence.QueueStats
	err := s.query(ctx, func(row scanner) error {
		var q persistence.QueueStats
		err := row.Scan(&q.Queue, &q.Available, &q.Running, &q.Scheduled, &q.Retryable, &q.Oldest)
		list = append(list, q)
		return err
	}, queueStats, workflow.MostCounted+mostLookedUp, mostLookedUp)
	if err != nil {
		return nil, fmt.Errorf("count the runs of queues: %w", err)
	}
	return list, nil
}
