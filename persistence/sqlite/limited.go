package sqlite

import (
	"fmt"
	"strings"

	"singularity/persistence"
)

// Claims of one process are never under way at once, so limited ones need no
// lock of their own.

const queueTurn = `
SELECT queue.turn,
	(SELECT count(*) FROM workflow_runs INDEXED BY workflow_runs_owned WHERE state = 'running' AND queue = queue.name)
FROM queues AS queue
WHERE queue.name = ?`

const moveTurn = `UPDATE queues SET turn = ? WHERE name = ? AND turn <> ?1`

// dueOf are the due runs of ten ordered lists, one for each priority.
func dueOf(runs string) string {
	lists := make([]string, persistence.MaxPriority+1)
	for priority := range lists {
		lists[priority] = fmt.Sprintf("%s AND priority = %d AND sort_key <= ?1 + %d", runs, priority, priority*perPriority)
	}
	return strings.Join(lists, " UNION ALL ")
}

var (
	anyDue = `SELECT EXISTS (` + dueOf(`SELECT 1 FROM `+claimableRuns+` AND queue = ?2 AND (crash_count >= 2) = ?3`) + `)`

	anyDueWithKey = `SELECT EXISTS (` + dueOf(`SELECT 1 FROM `+runsWithKey) + `)`

	takeWithKey = `
UPDATE workflow_runs
SET state = 'running', sort_key = NULL, owner = ?5, claim_id = ?6, epoch = epoch + 1,
	started_at = coalesce(started_at, ?1), updated_at = ?1
WHERE id = (
	SELECT id
	FROM (` + dueOf(`SELECT id, sort_key FROM `+runsWithKey+` AND `+strings.ReplaceAll(knownDefinitions, "?1", "?7")) + `
		ORDER BY sort_key, id
		LIMIT 1
	)
)`
)

// keyedRuns insists on the index that is made for them.
const keyedRuns = `workflow_runs INDEXED BY workflow_runs_keyed
	WHERE sort_key IS NOT NULL AND limit_key IS NOT NULL AND queue = ?2 AND (crash_count >= 2) = ?3`

const runsWithKey = keyedRuns + ` AND limit_key = ?4`

// claimLimited takes what a queue's limits let begin, and returns how many runs.
func (t *tx) claimLimited(w persistence.Claim, verdict *persistence.Verdict) (taken int, err error) {
	q, found, err := t.queue(w.Queue)
	switch {
	case err != nil || q.PausedAt != nil:
		return 0, err
	case !found:
		return t.claimDue(w, w.Limit)
	}
	var turn string
	var running int
	err = t.query(func(row scanner) error { return row.Scan(&turn, &running) }, queueTurn, w.Queue)
	if err != nil {
		return 0, err
	}
	bucket, err := t.bucket(w.Queue, false, "")
	if err != nil {
		return 0, err
	}
	room := persistence.RoomIn(q.QueueSettings, w.Limit, running, bucket, moment(t.at))
	if q.KeyPath == "" {
		taken, err = t.claimInOrder(w, room.Runs, verdict)
	} else {
		taken, err = t.claimByTurns(w, q, turn, room.Runs, verdict)
	}
	if taken == room.Runs {
		verdict.Wait = room.Wait
	}
	if err == nil && taken > 0 && persistence.QueueRate(q.QueueSettings).Limits() {
		room.Bucket.Tokens -= float64(taken)
		err = t.keepBucket(w.Queue, false, "", room.Bucket)
	}
	return taken, err
}

func (t *tx) claimInOrder(w persistence.Claim, room int, verdict *persistence.Verdict) (taken int, err error) {
	taken, err = t.claimDue(w, room)
	if err == nil && taken < room {
		err = t.query(func(row scanner) error { return row.Scan(&verdict.Left) }, anyDue, t.at, w.Queue, w.Solo)
	}
	return taken, err
}

func (t *tx) claimByTurns(
	w persistence.Claim, q persistence.QueueSettings, turn string, room int, verdict *persistence.Verdict,
) (taken int, err error) {
	if room == 0 {
		return 0, nil
	}
	if err := t.giveMissingKeys(lane{w.Queue, w.Solo}, q.KeyPath); err != nil {
		return 0, err
	}
	dealt, err := persistence.Deal(q.QueueSettings, moment(t.at), turn, room, &keysOf{tx: t, claim: w})
	if err != nil {
		return 0, err
	}
	verdict.Wait, verdict.Left = dealt.Wait, dealt.Left
	_, err = t.exec(moveTurn, dealt.Turn, w.Queue)
	return room - dealt.Room, err
}

const readBucket = `
SELECT tokens, refilled_at
FROM queue_buckets
WHERE queue = ? AND keyed = ? AND key = ?`

func (t *tx) bucket(queue string, keyed bool, key string) (*persistence.Bucket, error) {
	var found *persistence.Bucket
	err := t.query(func(row scanner) error {
		var tokens float64
		var at int64
		err := row.Scan(&tokens, &at)
		found = &persistence.Bucket{Tokens: tokens, RefilledAt: moment(at)}
		return err
	}, readBucket, queue, keyed, key)
	return found, err
}

const putBucket = `
INSERT INTO queue_buckets (queue, keyed, key, tokens, refilled_at)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (queue, keyed, key) DO UPDATE SET tokens = excluded.tokens, refilled_at = excluded.refilled_at`

func (t *tx) keepBucket(queue string, keyed bool, key string, bucket persistence.Bucket) error {
	_, err := t.exec(putBucket, queue, keyed, key, bucket.Tokens, bucket.RefilledAt.UnixMicro())
	return err
}
